import { createRequire, syncBuiltinESMExports } from "node:module";
import { realImmediate } from "./real-clock.ts";
import type { World } from "./world.ts";

let world: World | undefined;

/** The world whose time and chance the code of this process lives in; undefined: the real ones. */
export function liveIn(next: World | undefined): void {
  world = next;
}

/**
 * Puts virtual time and chance in the place of the real ones, for the code that ships as it is. Import this module before that code.
 * Outside of a world everything is as usual.
 */
function install(): void {
  const real = {
    setTimeout,
    clearTimeout,
    setImmediate: realImmediate,
    clearImmediate,
    setInterval,
    Date,
    random: Math.random,
    now: performance.now.bind(performance),
  };

  const timer = (fn: (...given: unknown[]) => void, ms = 0, ...given: unknown[]): unknown =>
    world === undefined ? real.setTimeout(fn, ms, ...given) : new VirtualTimer(world.after(ms, "timer", () => fn(...given)));
  const stop = (each: unknown): void => {
    if (each instanceof VirtualTimer) each.stop();
    else real.clearTimeout(each as NodeJS.Timeout);
  };
  class VirtualDate extends real.Date {
    constructor(...given: readonly unknown[]) {
      if (given.length === 0 && world !== undefined) super(world.wall);
      // A date's constructor takes what it is given, in every form.
      else super(...(given as [number]));
    }

    static override now(): number {
      return world === undefined ? real.Date.now() : world.wall;
    }
  }
  Object.assign(globalThis, {
    setTimeout: timer,
    clearTimeout: stop,
    setImmediate: (fn: (...given: unknown[]) => void, ...given: unknown[]) =>
      world === undefined ? real.setImmediate(fn, ...given) : new VirtualTimer(world.after(0, "immediate", () => fn(...given))),
    clearImmediate: (each: unknown) => (each instanceof VirtualTimer ? each.stop() : real.clearImmediate(each as NodeJS.Immediate)),
    setInterval: (fn: () => void, ms: number) => {
      if (world !== undefined) throw new Error("the code under simulation uses setInterval, which has no virtual form yet");
      return real.setInterval(fn, ms);
    },
    Date: VirtualDate,
  });
  Math.random = () => world?.library.next() ?? real.random();
  performance.now = () => world?.now ?? real.now();

  const require = createRequire(import.meta.url);
  const promises = require("node:timers/promises") as { setTimeout: (ms?: number, value?: unknown, options?: object) => Promise<unknown> };
  const realSleep = promises.setTimeout;
  promises.setTimeout = (ms, value, options) => {
    if (world === undefined) return realSleep(ms, value, options);
    if (options !== undefined) throw new Error("the code under simulation sleeps with options, which have no virtual form yet");
    return world.sleep(ms ?? 0).then(() => value);
  };
  const crypto = require("node:crypto") as { randomFillSync: (bytes: Uint8Array) => Uint8Array };
  const realFill = crypto.randomFillSync;
  crypto.randomFillSync = (bytes) => {
    if (world === undefined) return realFill(bytes);
    for (let at = 0; at < bytes.length; at += 1) bytes[at] = world.ids.between(0, 255);
    return bytes;
  };
  syncBuiltinESMExports();
}

class VirtualTimer {
  readonly stop: () => void;

  constructor(stop: () => void) {
    this.stop = stop;
  }

  unref(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  hasRef(): boolean {
    return true;
  }
}

install();
