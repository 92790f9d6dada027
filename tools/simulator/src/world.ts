import { AsyncResource } from "node:async_hooks";
import { createHash } from "node:crypto";
import { currentHost, type Host } from "./host.ts";
import { Random } from "./random.ts";
import { realImmediate } from "./real-clock.ts";

interface Happening {
  readonly at: number;
  readonly order: number;
  readonly host: Host | undefined;
  readonly what: string;
  readonly run: () => void;
  isCancelled: boolean;
}

/** Where the simulated time begins: any fixed day. */
const WALL_START_MS = Date.UTC(2026, 0, 1);

/**
 * The clock of one simulation. Nothing happens but by an event of this heap; between two events every promise that can settle
 * has settled. So a run is a function of its seed.
 */
export class World {
  readonly faults: Random;
  readonly work: Random;
  /** `Math.random` of the code under simulation. */
  readonly library: Random;
  /** Its ids and tokens. A stream of their own: they are drawn by the page, and a page may be left over from the seed before. */
  readonly ids: Random;
  readonly #heap: Happening[] = [];
  readonly #waiting = new Map<Host, Happening[]>();
  readonly #digest = createHash("sha256");
  readonly #trace: ((line: string) => void) | undefined;
  #now = 0;
  #order = 0;
  events = 0;

  constructor(seed: number, trace?: (line: string) => void) {
    this.faults = new Random(seed * 3 + 1);
    this.work = new Random(seed * 3 + 2);
    this.library = new Random(seed * 3 + 3);
    this.ids = new Random(seed);
    this.#trace = trace;
  }

  /** Milliseconds since the beginning. */
  get now(): number {
    return this.#now;
  }

  get wall(): number {
    return WALL_START_MS + Math.floor(this.#now) + (currentHost()?.skewMs ?? 0);
  }

  /** Runs `run` after `delayMs`, as the host whose code asks for it, in its async context. Returns how to cancel it. */
  after(delayMs: number, what: string, run: () => void, host: Host | undefined = currentHost()): () => void {
    // In the async context of whoever asks, whose turn it may be part of.
    const context = new AsyncResource("event");
    const happening: Happening = {
      at: this.#now + Math.max(0, Number.isFinite(delayMs) ? delayMs : 0),
      order: (this.#order += 1),
      host,
      what,
      run: () => context.runInAsyncScope(run),
      isCancelled: false,
    };
    push(this.#heap, happening);
    return () => {
      happening.isCancelled = true;
    };
  }

  sleep(ms: number, what = "sleep"): Promise<void> {
    return new Promise((resolve) => void this.after(ms, what, resolve));
  }

  pause(host: Host): void {
    host.isPaused = true;
    this.say(`${host.name} stops`);
  }

  resume(host: Host): void {
    if (!host.isPaused) return;
    host.isPaused = false;
    this.say(`${host.name} goes on`);
    for (const { what, run, isCancelled } of this.#waiting.get(host) ?? []) if (!isCancelled) this.after(0, what, run, host);
    this.#waiting.delete(host);
  }

  /** One line of the trace. It holds no random ids, so that it is the same whatever ran before in this process. */
  say(line: string): void {
    const text = `${this.#now.toFixed(3)} ${line}`;
    this.#digest.update(`${text}\n`);
    this.#trace?.(text);
  }

  /** Of everything that was said. */
  digest(): string {
    return this.#digest.digest("hex").slice(0, 16);
  }

  /** Lets things happen until `done` has settled. Rejects if nothing can happen any more, or at `limitMs`: then somebody waits for ever. */
  async until<T>(done: Promise<T>, limitMs: number): Promise<T> {
    let settled = false;
    done.then(
      () => (settled = true),
      () => (settled = true),
    );
    await quiet();
    while (!settled) {
      const next = pop(this.#heap);
      if (next === undefined || next.at > limitMs)
        throw new Error(next === undefined ? "stuck: nothing can happen any more" : `stuck: not done after ${limitMs} ms`);
      if (next.isCancelled) continue;
      this.#now = Math.max(this.#now, next.at);
      const { host } = next;
      if (host?.hasCrashed === true) continue;
      if (host?.isPaused === true) {
        const waiting = this.#waiting.get(host) ?? [];
        waiting.push(next);
        this.#waiting.set(host, waiting);
        continue;
      }
      this.events += 1;
      next.run();
      await quiet();
    }
    return done;
  }
}

/** Every promise that can settle has settled. */
function quiet(): Promise<void> {
  return new Promise((resolve) => {
    realImmediate(resolve);
  });
}

function isBefore(a: Happening, b: Happening): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function push(heap: Happening[], item: Happening): void {
  let at = heap.push(item) - 1;
  while (at > 0) {
    const up = (at - 1) >> 1;
    const parent = heap[up] as Happening;
    if (!isBefore(item, parent)) break;
    heap[at] = parent;
    at = up;
  }
  heap[at] = item;
}

function pop(heap: Happening[]): Happening | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (first === undefined || last === undefined || heap.length === 0) return first;
  let at = 0;
  for (;;) {
    let down = 2 * at + 1;
    if (down >= heap.length) break;
    if (down + 1 < heap.length && isBefore(heap[down + 1] as Happening, heap[down] as Happening)) down += 1;
    if (!isBefore(heap[down] as Happening, last)) break;
    heap[at] = heap[down] as Happening;
    at = down;
  }
  heap[at] = last;
  return first;
}
