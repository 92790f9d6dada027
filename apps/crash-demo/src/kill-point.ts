/** A place in the turn where the worker can be killed, and how often it has been passed. */
export interface KillPoints {
  /** Passes the place; does not return if this is where the worker dies. */
  pass(name: string): void;
}

/**
 * The worker kills itself, with the signal that no program can catch, when it passes `fatal` for the `nth` time: as if the
 * power of this one process had been cut at exactly this place.
 */
export function createKillPoints(fatal: string | undefined, nth: number, report: (name: string) => void): KillPoints {
  const passed = new Map<string, number>();
  return {
    pass(name) {
      const count = (passed.get(name) ?? 0) + 1;
      passed.set(name, count);
      report(name);
      if (name !== fatal || count !== nth) return;
      process.kill(process.pid, "SIGKILL");
      // The signal may take a moment to arrive: nothing may happen meanwhile.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    },
  };
}
