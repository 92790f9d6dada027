/**
 * Lets this process believe that it is later, or earlier: `Date` and the origin of `performance`, which is all that a program
 * knows of the time of day. Time goes on at its pace. Before anything else is imported, or it may have looked already.
 */
export function shiftClock(offsetMs: number): void {
  if (offsetMs === 0) return;
  const real = Date;
  const now = (): number => real.now() + offsetMs;
  globalThis.Date = new Proxy(real, {
    construct: (target, args: unknown[], newTarget) => Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget) as object,
    apply: () => new real(now()).toString(),
    get: (target, name, receiver) => (name === "now" ? now : (Reflect.get(target, name, receiver) as unknown)),
  });
  Object.defineProperty(performance, "timeOrigin", { value: performance.timeOrigin + offsetMs, configurable: true });
}
