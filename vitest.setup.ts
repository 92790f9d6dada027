import { afterAll, afterEach, beforeEach } from "vitest";

/** An unexpected line on the console is a failure: a test that expects one replaces the method for its own time. */
const METHODS = ["debug", "error", "info", "log", "trace", "warn"] as const;
const originals = new Map(METHODS.map((method) => [method, console[method]]));
let calls: string[] = [];

function listen(): void {
  for (const method of METHODS) {
    console[method] = (...args: unknown[]): void => {
      calls.push(
        `console.${method}: ${args
          .map((arg) => (arg instanceof Error ? arg.message : String(arg)))
          .join(" ")
          .slice(0, 300)}`,
      );
      originals.get(method)?.apply(console, args);
    };
  }
}

function fail(): void {
  if (calls.length === 0) return;
  const seen = calls;
  calls = [];
  throw new Error(`unexpected output on the console:\n${seen.join("\n")}`);
}

listen();
beforeEach(listen);
afterEach(fail);
afterAll(fail);
