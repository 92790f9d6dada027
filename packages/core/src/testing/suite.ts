import assert from "node:assert/strict";
import type { Agent, Execute } from "../agent.ts";
import { quiet } from "../failure.ts";
import type { RuntimeOptions } from "../options.ts";
import type { Runtime } from "../runtime.ts";
import type { CaseContext, RuntimeCase } from "./case.ts";
import { runtimeCases } from "./cases/index.ts";
import { heeding } from "./waiting.ts";

const CASE_TIMEOUT_MS = 60_000;

/** What the suite needs of a test runner: vitest's, jest's and `node:test`'s functions fit. */
export interface SuiteRunner {
  describe(name: string, body: () => void): void;
  it(name: string, body: () => Promise<void>, timeoutMs?: number): void;
}

/** Makes a runtime that is not started. The suite stops it. */
export type RuntimeFactory = (options: RuntimeOptions) => Runtime | Promise<Runtime>;

export interface RuntimeCaseResult {
  readonly id: string;
  readonly passed: boolean;
  readonly error?: unknown;
}

/** Registers every case at once, each under its id and sentence. */
export function runtimeSuite(runner: SuiteRunner, create: RuntimeFactory, options: { readonly name?: string } = {}): void {
  runner.describe(options.name ?? "runtime", () => {
    for (const one of runtimeCases)
      runner.it(`${one.id}: ${one.sentence}`, () => runCase(one, create, CASE_TIMEOUT_MS), CASE_TIMEOUT_MS * 2);
  });
}

/**
 * Runs cases without a test runner, one after the other, each for `timeoutMs` at most.
 * @throws never because of a case; an id in `only` that is no case's throws
 */
export async function runRuntimeCases(
  create: RuntimeFactory,
  options: { readonly only?: readonly string[]; readonly timeoutMs?: number } = {},
): Promise<readonly RuntimeCaseResult[]> {
  const { only, timeoutMs = CASE_TIMEOUT_MS } = options;
  const unknown = only?.find((id) => !runtimeCases.some((one) => one.id === id));
  if (unknown !== undefined) throw new Error(`runRuntimeCases: there is no case ${unknown}`);
  const results: RuntimeCaseResult[] = [];
  for (const one of runtimeCases) {
    const { id } = one;
    if (only !== undefined && !only.includes(id)) continue;
    try {
      await runCase(one, create, timeoutMs);
      results.push({ id, passed: true });
    } catch (error) {
      results.push({ id, passed: false, error });
    }
  }
  return results;
}

async function runCase(one: RuntimeCase, create: RuntimeFactory, timeoutMs: number): Promise<void> {
  const made: Runtime[] = [];
  const ended = new AbortController();
  const unhandled: unknown[] = [];
  const note = (error: unknown): void => void unhandled.push(error);
  process.on("unhandledRejection", note);
  try {
    await within(timeoutMs, one.id, one.run(context(create, made, ended.signal)));
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(unhandled, [], "nothing may reject without anybody to hear it");
  } finally {
    ended.abort(new Error("the case has ended"));
    await within(timeoutMs, `${one.id}, while its runtimes are stopped`, Promise.all(made.map((runtime) => runtime.stop({ graceMs: 0 }))));
    process.off("unhandledRejection", note);
  }
}

function context(create: RuntimeFactory, made: Runtime[], ended: AbortSignal): CaseContext {
  const make = async (options: RuntimeOptions = {}): Promise<Runtime> => {
    const runtime = await create(options);
    made.push(runtime);
    return runtime;
  };
  return {
    create: make,
    never: () => quiet(heeding(ended)),
    async started(agents: Readonly<Record<string, Agent | Execute>>, options) {
      const runtime = await make(options);
      for (const [name, agent] of Object.entries(agents)) runtime.register(name, agent);
      await runtime.start();
      return runtime;
    },
  };
}

async function within<T>(ms: number, id: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new assert.AssertionError({ message: `${id} did not end within ${ms} ms` })), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
