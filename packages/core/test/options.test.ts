import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  createRuntime,
  expectMs,
  isAixgoError,
  type Option,
  type OptionRules,
  resolveOptions,
  RUNTIME_OPTION_RULES,
  type RuntimeOptions,
  silentLogger,
  withAgentStartTimeout,
  withLogger,
  withMailboxCapacity,
  withMailboxMaxBytes,
  withMaxConcurrentCalls,
  withMetrics,
  withSendTimeout,
  withSessionManager,
  withTimeout,
  withTracing,
} from "../src/index.ts";
import { observedHost } from "./support.ts";

const resolve = (...options: Option<RuntimeOptions>[]): RuntimeOptions => resolveOptions("createRuntime", options, RUNTIME_OPTION_RULES);
const refusal = (make: () => unknown): string => {
  try {
    make();
  } catch (error) {
    if (isAixgoError(error, "INVALID_OPTION")) return error.message;
    throw error;
  }
  throw new Error("was accepted");
};

describe("options", () => {
  it("has a with… function for every key", () => {
    const metrics = { count() {}, observe() {} };
    const tracing = { span: <T>(_name: string, _attributes: object, body: () => Promise<T>) => body() };
    const sessions = observedHost();
    const all = resolve(
      withSessionManager(sessions),
      withMetrics(metrics),
      withTracing(tracing),
      withLogger(silentLogger),
      withTimeout(1),
      withMaxConcurrentCalls(2),
      withAgentStartTimeout(3),
      withMailboxCapacity(4),
      withMailboxMaxBytes(9),
      withSendTimeout(5),
    );
    expect(all).toEqual({
      sessions,
      metrics,
      tracing,
      logger: silentLogger,
      timeoutMs: 1,
      maxConcurrentCalls: 2,
      agentStartTimeoutMs: 3,
      mailboxCapacity: 4,
      mailboxMaxBytes: 9,
      sendTimeoutMs: 5,
    });
    expect(Object.keys(all).sort()).toEqual(Object.keys(RUNTIME_OPTION_RULES).sort());
  });
  it("mixes objects and functions, left to right; undefined leaves what was said before", () => {
    expect(resolve({ timeoutMs: 1 }, withTimeout(2), { maxConcurrentCalls: 3 }, { timeoutMs: 4 })).toEqual({
      timeoutMs: 4,
      maxConcurrentCalls: 3,
    });
    expect(resolve({ timeoutMs: 1 }, { timeoutMs: undefined } as never)).toEqual({ timeoutMs: 1 });
  });
  it("property: the last one given wins, key by key", () => {
    const option = fc.record(
      { timeoutMs: fc.integer({ min: 1, max: 1e6 }), maxConcurrentCalls: fc.integer({ min: 1, max: 1e6 }), asFunction: fc.boolean() },
      { requiredKeys: ["asFunction"] },
    );
    fc.assert(
      fc.property(fc.array(option), (given) => {
        const options = given.map(({ asFunction, ...rest }): Option<RuntimeOptions> =>
          asFunction ? (before) => ({ ...before, ...rest }) : rest,
        );
        const expected = Object.assign({}, ...given.map(({ asFunction: _, ...rest }) => rest)) as object;
        expect(resolve(...options)).toEqual(expected);
      }),
    );
  });
  it("refuses an unknown key by its name, from an object and from a function", () => {
    expect(refusal(() => createRuntime({ timeout: 5 } as never))).toContain('"timeout"');
    expect(refusal(() => createRuntime(((options: object) => ({ ...options, retries: 1 })) as never))).toContain('"retries"');
    expect(refusal(() => resolve(JSON.parse('{"__proto__":{}}') as never))).toContain("__proto__");
  });
  it.each([
    ["timeoutMs", 0],
    ["timeoutMs", -1],
    ["timeoutMs", Number.NaN],
    ["timeoutMs", Infinity],
    ["timeoutMs", 2 ** 31],
    ["timeoutMs", "5"],
    ["maxConcurrentCalls", 0],
    ["maxConcurrentCalls", 1.5],
    ["agentStartTimeoutMs", 0],
    ["mailboxCapacity", 0],
    ["mailboxMaxBytes", 0.5],
    ["sendTimeoutMs", -1],
    ["sendTimeoutMs", Infinity],
    ["metrics", {}],
    ["tracing", 1],
    ["logger", { info() {} }],
    ["sessions", null],
  ])("refuses %s: %s by the option's name", (key, value) => {
    expect(refusal(() => createRuntime({ [key]: value } as never))).toContain(`"${key}"`);
  });
  it("refuses what is neither object nor function", () => {
    for (const option of [null, 1, "x", [], () => undefined]) expect(refusal(() => createRuntime(option as never))).toContain("option 1");
  });
  it("serves a runtime whose options extend these, without a change here", () => {
    interface Wide extends RuntimeOptions {
      readonly dialMs?: number;
    }
    const rules: OptionRules<Wide> = { ...RUNTIME_OPTION_RULES, dialMs: expectMs };
    expect(resolveOptions<Wide>("createWide", [withTimeout(5), { dialMs: 3 }], rules)).toEqual({ timeoutMs: 5, dialMs: 3 });
    expect(refusal(() => resolveOptions<Wide>("createWide", [{ dialMs: -3 }], rules))).toContain('createWide: the option "dialMs"');
  });
});
