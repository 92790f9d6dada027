import { createRuntime, type Runtime, withSessionManager } from "@aixgo/core";
import { createSessionManager, type SessionManager } from "@aixgo/session";
import type { SessionBackend } from "@aixgo/session/backend";
import { createWorker } from "./agent.ts";
import { ConnectionLost, Host, onHost } from "./host.ts";
import type { Ledger } from "./ledger.ts";
import { remoteStore, type Weather } from "./network.ts";
import type { World } from "./world.ts";

export const LEASE_MS = 300;
const CLIENT_TIMEOUT_MS = 6_000;

/** One life of a process: what it holds in memory is gone when it crashes. */
export interface Node {
  readonly host: Host;
  readonly manager: SessionManager;
  readonly runtime: Runtime;
}

/** Some nodes on one store, which crash and come back, stop and go on, and lose their way to the store. */
export class Cluster {
  readonly #world: World;
  readonly #store: SessionBackend;
  readonly #ledger: Ledger;
  readonly #nodes: (Node | undefined)[] = [];
  #lives = 0;
  readonly weather: Weather;

  constructor(world: World, store: SessionBackend, weather: Weather, ledger: Ledger) {
    this.#world = world;
    this.#store = store;
    this.weather = weather;
    this.#ledger = ledger;
  }

  get size(): number {
    return this.#nodes.length;
  }

  async start(count: number): Promise<void> {
    for (let slot = 0; slot < count; slot += 1) this.#nodes[slot] = await this.boot(`node${slot}`);
  }

  /** A node that is no member: clients do not reach it. */
  async boot(name: string): Promise<Node> {
    const host = new Host(name, this.#world.faults.between(-3_600_000, 3_600_000));
    const life = (this.#lives += 1);
    return onHost(host, async () => {
      const manager = createSessionManager({
        backend: remoteStore(this.#world, host, this.#store, this.weather),
        leaseMs: LEASE_MS,
        rebaseMs: 2_000,
        queueTimeoutMs: 3_000,
      });
      const runtime = createRuntime(withSessionManager(manager));
      runtime.register(createWorker(this.#world, this.#ledger));
      await runtime.start();
      this.#world.say(`${name} is up (life ${life})`);
      return { host, manager, runtime };
    });
  }

  /** Runs `body` on a node for a client. Rejects with `ConnectionLost` if the node is down, crashes, or does not answer in time. */
  async request<T>(slot: number, what: string, body: (node: Node) => Promise<T>): Promise<T> {
    const world = this.#world;
    await world.sleep(world.faults.next() * 3);
    const node = this.#nodes[slot];
    if (node === undefined) throw new ConnectionLost(`node${slot} is down`);
    world.say(`client asks ${node.host.name}: ${what}`);
    const answer = new Promise<T>((resolve, reject) => {
      const begin = (): void => onHost(node.host, () => void body(node).then(resolve, reject));
      world.after(0, what, begin, node.host);
    });
    answer.catch(() => {});
    let stop: (() => void) | undefined;
    const late = new Promise<never>((_, reject) => {
      stop = world.after(CLIENT_TIMEOUT_MS, "client gives up", () => reject(new ConnectionLost(`${node.host.name} did not answer`)));
    });
    late.catch(() => {});
    try {
      const answered = await Promise.race([answer, node.host.crashed, late]);
      if (world.faults.chance(this.weather.lossRate / 2)) throw new ConnectionLost(`the answer of ${node.host.name} was lost`);
      return answered;
    } finally {
      stop?.();
    }
  }

  crash(slot: number, downMs: number): void {
    const node = this.#nodes[slot];
    if (node === undefined) return;
    this.#world.say(`${node.host.name} crashes`);
    node.host.crash();
    this.#nodes[slot] = undefined;
    this.#world.after(downMs, "restart", () => {
      void this.boot(node.host.name).then((next) => (this.#nodes[slot] = next));
    });
  }

  pause(slot: number, ms: number): void {
    const host = this.#nodes[slot]?.host;
    if (host === undefined || host.isPaused) return;
    this.#world.pause(host);
    this.#world.after(ms, "wake", () => this.#world.resume(host));
  }

  cutOff(slot: number, ms: number): void {
    const name = `node${slot}`;
    this.weather.cut.add(name);
    this.#world.say(`${name} loses the store`);
    this.#world.after(ms, "heal", () => {
      this.weather.cut.delete(name);
      this.#world.say(`${name} reaches the store again`);
    });
  }

  /** Good weather from now on, and every node awake. */
  heal(): void {
    Object.assign(this.weather, { lossRate: 0, doubleRate: 0, lateRate: 0 });
    this.weather.cut.clear();
    for (const node of this.#nodes) if (node !== undefined) this.#world.resume(node.host);
  }
}
