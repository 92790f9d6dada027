import { type Message, type MessageInput, type OpenTurn, type OpenTurnRequest, textOf } from "@aixgo/core";
import { expect } from "vitest";
import type { SessionBackend } from "../src/backend.ts";
import type { Session, SessionManager, TurnData } from "../src/index.ts";
import { twoNodes } from "./two-nodes.ts";

export const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;
export const all = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
};
export const texts = (messages: readonly Message[]): string[] => messages.map(textOf);
export const ask = (input: MessageInput, options: OpenTurnRequest["options"] = {}): OpenTurnRequest => ({
  agent: "x",
  input,
  options,
});
export const turnsOf = async (session: Session): Promise<string[]> =>
  (await all(session.entries()))
    .filter(({ type }) => type === "turn")
    .map(({ data }) => {
      const { phase, attempt, status } = data as unknown as TurnData;
      return `${phase} ${attempt}${status === undefined ? "" : ` ${status}`}`;
    });

/** As if the process had died: its lease runs out, nothing is written any more. */
export async function die(turn: OpenTurn, backend: SessionBackend, id: string): Promise<void> {
  (turn as unknown as { signal: AbortSignal }).signal.throwIfAborted();
  for (let waited = 0; waited < 5000; waited += 10) {
    const { lease } = await backend.head(id);
    if (lease === undefined || lease.expiresInMs <= 0) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("the lease did not run out");
}

/** A node whose lease is never prolonged: what a killed or paused process looks like from outside. */
export const withoutRenewal = (backend: SessionBackend): SessionBackend =>
  new Proxy(backend, {
    get: (target, name, receiver) => {
      if (name === "renew") return () => new Promise(() => undefined);
      const member = Reflect.get(target, name, receiver) as unknown;
      return typeof member === "function" ? (member as (...parameters: unknown[]) => unknown).bind(target) : member;
    },
  });

/**
 * Nodes whose leases are never prolonged, and live until `expire` is called: how long it takes to get there means nothing.
 * What is looked for is the renewal of the last lease that was taken.
 */
export function mortal(): { wrap(backend: SessionBackend): SessionBackend; expire(): Promise<void> } {
  let expire = (): Promise<unknown> => Promise.reject(new Error("no lease was taken"));
  return {
    wrap: (backend) => ({
      ...withoutRenewal(backend),
      append: (ref, request) => {
        const { acquire } = request;
        if (acquire !== undefined) expire = () => backend.renew(ref, acquire, 1);
        return backend.append(ref, request);
      },
    }),
    expire: async () => void (await expire()),
  };
}

export async function start(
  options: Parameters<typeof twoNodes>[0] = {},
): Promise<{ a: SessionManager; b: SessionManager; backend: SessionBackend; s: Session; t: Session; id: string }> {
  const { a, b, backend } = twoNodes(options);
  const s = await a.create("x", { userId: "ada" });
  return { a, b, backend, s, t: await b.get(s.id), id: s.id };
}

/** A backend that notes the name of each operation that it is asked for. */
export function recorded(store: SessionBackend): { readonly backend: SessionBackend; readonly calls: string[] } {
  const calls: string[] = [];
  const backend = new Proxy(store, {
    get: (target, name, receiver) => {
      const member = Reflect.get(target, name, receiver) as unknown;
      if (typeof member !== "function") return member;
      return (...parameters: unknown[]) => {
        calls.push(String(name));
        return (member as (...all: unknown[]) => unknown).apply(target, parameters);
      };
    },
  });
  return { backend, calls };
}

/** A store where something happens, once, right before the next append. */
export function beforeAppend(): { next: (() => Promise<unknown>) | undefined; wrap(backend: SessionBackend): SessionBackend } {
  const between = {
    next: undefined as (() => Promise<unknown>) | undefined,
    wrap: (backend: SessionBackend): SessionBackend => ({
      ...backend,
      async append(...parameters) {
        const first = between.next;
        between.next = undefined;
        await first?.();
        return backend.append(...parameters);
      },
    }),
  };
  return between;
}
