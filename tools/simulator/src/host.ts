import { AsyncLocalStorage } from "node:async_hooks";

/** A machine of the simulation. What it does next waits while it is paused, and never comes once it has crashed. */
export class Host {
  readonly name: string;
  /** How far its wall clock is off, in milliseconds. */
  readonly skewMs: number;
  isPaused = false;
  hasCrashed = false;
  /** Rejects the requests of clients that wait for this host when it crashes. */
  readonly crashed: Promise<never>;
  readonly #reject: (error: Error) => void;

  constructor(name: string, skewMs: number) {
    this.name = name;
    this.skewMs = skewMs;
    let reject: ((error: Error) => void) | undefined;
    this.crashed = new Promise<never>((_, refuse) => {
      reject = refuse;
    });
    this.crashed.catch(() => {});
    this.#reject = reject as unknown as (error: Error) => void;
  }

  crash(): void {
    this.hasCrashed = true;
    this.#reject(new ConnectionLost(`${this.name} crashed`));
  }
}

/** What a client is told whose host went away, or did not answer: it cannot know what became of its request. */
export class ConnectionLost extends Error {}

const current: AsyncLocalStorage<Host | undefined> = new AsyncLocalStorage();

/** The host whose code this is. */
export function currentHost(): Host | undefined {
  return current.getStore();
}

export function onHost<T>(host: Host | undefined, body: () => T): T {
  return current.run(host, body);
}
