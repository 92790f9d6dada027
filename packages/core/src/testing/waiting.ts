import assert from "node:assert/strict";

/** A promise and its two ends. */
export interface Gate<T = void> {
  readonly promise: Promise<T>;
  open(value: T): void;
}

export function gate<T = void>(): Gate<T> {
  let open!: (value: T) => void;
  const promise = new Promise<T>((resolve) => (open = resolve));
  return { promise, open };
}

/** Lets what waits for nothing but promises go on. Of a runtime with a network in between it shows nothing: wait for what should happen. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

const UNTIL_MS = 20_000;

/** Waits until `holds`; fails by name if it never does. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  for (const since = performance.now(); !holds();) {
    assert.ok(performance.now() - since < UNTIL_MS, `waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** What an agent does that heeds its signal. */
export function heeding(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const end = (): void => reject(signal.reason as Error);
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  });
}
