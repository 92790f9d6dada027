import { AixgoError } from "@aixgo/core";
import type { SessionBackend } from "@aixgo/session/backend";
import { type Host, onHost } from "./host.ts";
import type { World } from "./world.ts";

/** What the network between hosts and store does; each rate from 0 to 1. */
export interface Weather {
  lossRate: number;
  doubleRate: number;
  /** Messages that take longer than their sender waits. */
  lateRate: number;
  /** Hosts that are cut off from the store. */
  readonly cut: Set<string>;
}

const TIMEOUT_MS = 150;
const LATE_MS = 600;

/** The store as one host reaches it: over a network that delays, loses, doubles and reorders requests and answers. */
export function remoteStore(world: World, host: Host, store: SessionBackend, weather: Weather): SessionBackend {
  const isLost = (): boolean => weather.cut.has(host.name) || world.faults.chance(weather.lossRate);
  const delay = (): number => (world.faults.chance(weather.lateRate) ? world.faults.between(TIMEOUT_MS, LATE_MS) : world.faults.next() * 8);

  function call<T>(what: string, perform: () => Promise<T>): Promise<T> {
    const doing = `${host.name} ${what}`;
    return new Promise<T>((resolve, reject) => {
      let isAnswered = false;
      const answer = (settle: () => void): void => {
        if (isAnswered) return;
        isAnswered = true;
        stopWaiting();
        settle();
      };
      const stopWaiting = world.after(
        TIMEOUT_MS,
        `${doing} timeout`,
        () =>
          answer(() => {
            world.say(`${doing}: no answer`);
            reject(
              what === "append" || what === "rewrite"
                ? new AixgoError("OUTCOME_UNKNOWN", `${what}: the store did not answer`)
                : new AixgoError("BACKEND_UNAVAILABLE", `${what}: the store did not answer`),
            );
          }),
        host,
      );
      const reply = (settle: () => void): void => {
        if (!isLost()) world.after(delay(), `${doing} answer`, () => answer(settle), host);
      };
      const send = (): void => {
        if (isLost()) return;
        const arrive = (): void =>
          onHost(undefined, () => {
            perform().then(
              (value) => reply(() => resolve(value)),
              (error: Error) => reply(() => reject(error)),
            );
          });
        onHost(undefined, () => world.after(delay(), doing, arrive));
      };
      send();
      if (world.faults.chance(weather.doubleRate)) send();
    });
  }

  return {
    name: "simulated",
    capabilities: { ...store.capabilities, sharedBy: "cluster", durability: "quorum" },
    async create(request) {
      const lines: Uint8Array[] = [];
      for await (const line of request.lines(request.ref.id)) lines.push(line);
      return call("create", () =>
        store.create({
          ...request,
          async *lines() {
            yield* lines;
          },
        }),
      );
    },
    head: (id) => call("head", () => store.head(id)),
    append: (ref, request) => call("append", () => store.append(ref, request)),
    async *read(ref, range) {
      yield* await call("read", async () => {
        const pages: Uint8Array[] = [];
        for await (const page of store.read(ref, range)) pages.push(page);
        return pages;
      });
    },
    find: (ref, what) => call("find", () => store.find(ref, what)),
    list: (query) => call("list", () => store.list(query)),
    renew: (ref, lease, ttlMs) => call("renew", () => store.renew(ref, lease, ttlMs)),
    cancel: (ref, reason) => call("cancel", () => store.cancel(ref, reason)),
    rewrite: (ref, request) => call("rewrite", () => store.rewrite(ref, request)),
    delete: (ref, options) => call("delete", () => store.delete(ref, options)),
    close: async () => {},
  };
}
