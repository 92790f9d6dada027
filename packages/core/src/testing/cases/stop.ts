import assert from "node:assert/strict";
import type { Agent } from "../../agent.ts";
import type { AixgoError } from "../../errors.ts";
import { quiet } from "../../failure.ts";
import { textOf } from "../../message.ts";
import type { Runtime } from "../../runtime.ts";
import { type RuntimeCase, runtimeCase } from "../case.ts";
import { rejection } from "../outcome.ts";
import { gate, heeding, settle, until } from "../waiting.ts";

const echo: Agent = { name: "echo", execute: (input) => textOf(input) };

function told(events: string[], more: Partial<Agent> = {}): Agent {
  return { ...echo, start: async () => void events.push("start"), stop: async () => void events.push("stop"), ...more };
}

/** Far less than any grace, and enough for a stop that has none. */
function moment(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20));
}

export const stopCases: readonly RuntimeCase[] = [
  runtimeCase("stop/graceful", "refuses new calls and lets running ones end", async ({ started }) => {
    const events: string[] = [];
    const began = gate();
    const answer = gate<string>();
    const runtime = await started({ a: told(events, { execute: () => (began.open(), answer.promise) }) });
    const running = runtime.call("a", "x");
    await began.promise;
    const stopping = runtime.stop();
    await rejection(runtime.call("a", "x"), "NOT_STARTED");
    await moment();
    assert.deepEqual(events, ["start"]);
    answer.open("done");
    assert.equal((await running).text, "done");
    await stopping;
    assert.deepEqual(events, ["start", "stop"]);
  }),
  runtimeCase("stop/sub-calls", "lets a running call make the sub-calls it needs to end", async ({ create }) => {
    const began = gate();
    const go = gate();
    const runtime: Runtime = await create({ maxConcurrentCalls: 1 });
    runtime.register(echo).register("outer", async (_input, context) => {
      began.open();
      await go.promise;
      const parallel = await runtime.callParallel(["echo"], "c");
      return `${(await context.call("echo", "a")).text}${(await runtime.call("echo", "b")).text}${parallel["echo"]?.status}`;
    });
    await runtime.start();
    const running = runtime.call("outer", "x");
    await began.promise;
    const stopping = runtime.stop();
    await moment();
    go.open();
    assert.equal((await running).text, "abfulfilled");
    await stopping;
  }),
  runtimeCase("stop/aborts", "aborts what still runs after the grace, by signal and answer", async ({ started }) => {
    let signal: AbortSignal | undefined;
    const runtime = await started({ a: (_input, context) => heeding((signal = context.signal)) });
    const running = rejection(runtime.call("a", "x"), "CANCELLED");
    await until("the agent runs", () => signal !== undefined);
    await runtime.stop({ graceMs: 0 });
    await running;
    assert.equal(signal?.aborted, true);
  }),
  runtimeCase("stop/deaf", "ends although an agent ignores that it was cancelled", async ({ started, never }) => {
    const began = gate();
    const runtime = await started({ a: () => (began.open(), never()) });
    const running = rejection(runtime.call("a", "x"), "CANCELLED");
    await began.promise;
    await runtime.stop({ graceMs: 0 });
    await running;
    assert.equal((await runtime.health()).status, "idle");
  }),
  runtimeCase("stop/load", "lesson: during 1,000 calls ends, and so does every call, answered or CANCELLED", async ({ started }) => {
    const runtime = await started(
      {
        async a() {
          await settle();
          return "x";
        },
      },
      { maxConcurrentCalls: 3 },
    );
    const calls = Array.from({ length: 1_000 }, () =>
      runtime.call("a", "x").then(
        () => "ok",
        (error: AixgoError) => error.code,
      ),
    );
    await Promise.race(calls);
    await runtime.stop({ graceMs: 5 });
    const outcomes = await Promise.all(calls);
    assert.deepEqual(
      [...new Set([...outcomes, "CANCELLED"])].toSorted(),
      ["CANCELLED", "ok"],
      "nothing else, and some of each: the calls were many, the grace short",
    );
  }),
  runtimeCase("stop/again", "is idempotent, joins a stop under way, and allows another start", async ({ started }) => {
    const events: string[] = [];
    const runtime = await started({ a: told(events) });
    await Promise.all([runtime.stop(), runtime.stop(), runtime[Symbol.asyncDispose]()]);
    await runtime.stop();
    assert.deepEqual(events, ["start", "stop"]);
    await runtime.start();
    assert.equal((await runtime.call("a", "x")).text, "x");
    const [, restarted] = await Promise.all([runtime.stop(), runtime.start().then(() => runtime.call("a", "y"))]);
    assert.equal(restarted.text, "y");
  }),
  runtimeCase("stop/never-started", "of a runtime that was never started does nothing", async ({ create }) => {
    await (await create()).register(echo).stop();
  }),
  runtimeCase("stop/start-meanwhile", "lets a start that comes meanwhile wait until it is done", async ({ started }) => {
    const events: string[] = [];
    const began = gate();
    const answer = gate<string>();
    const runtime = await started({ a: told(events, { execute: () => (began.open(), answer.promise) }) });
    const running = runtime.call("a", "x");
    await began.promise;
    const stopping = runtime.stop();
    const starting = runtime.start();
    await moment();
    assert.deepEqual(events, ["start"]);
    answer.open("x");
    await Promise.all([running, stopping, starting]);
    assert.deepEqual(events, ["start", "stop", "start"]);
    assert.equal((await runtime.call("a", "x")).text, "x");
  }),
  runtimeCase("stop/last-word", "ends a start that waits for another stop: what was asked for last is what holds", async ({ create }) => {
    const stopping = gate();
    const events: string[] = [];
    const runtime = (await create()).register({
      name: "a",
      execute: () => "x",
      async stop() {
        events.push("stop");
        await stopping.promise;
      },
    });
    await runtime.start();
    const first = runtime.stop();
    const start = quiet(runtime.start());
    const last = runtime.stop();
    stopping.open();
    await Promise.all([first, last]);
    await rejection(start, "CANCELLED");
    await rejection(runtime.call("a", "x"), "NOT_STARTED");
    assert.deepEqual(events, ["stop"]);
    await runtime.start();
    assert.equal((await runtime.call("a", "x")).text, "x");
    await rejection(
      runtime.stop().then(() => runtime.start({ signal: AbortSignal.abort() })),
      "CANCELLED",
    );
    assert.deepEqual(events, ["stop", "stop"]);
    await runtime.start();
    assert.equal((await runtime.call("a", "x")).text, "x");
  }),
  runtimeCase("stop/during-start", "during a start aborts the start", async ({ create, never }) => {
    const began = gate();
    const runtime = (await create()).register({ ...echo, start: () => (began.open(), never()) });
    const starting = rejection(runtime.start(), "CANCELLED");
    await began.promise;
    await runtime.stop();
    await starting;
  }),
  runtimeCase("stop/failing", "goes on when an agent fails to stop, and logs it", async ({ create }) => {
    const logged: string[] = [];
    const log = (fields: object, message: string): void => void logged.push(`${message} ${JSON.stringify(fields)}`);
    const events: string[] = [];
    const runtime = await create({ logger: { debug() {}, info: log, warn: log, error: log } });
    runtime
      .register({
        ...echo,
        stop: () => {
          throw new Error("stuck");
        },
      })
      .register({ ...told(events), name: "b" });
    await runtime.start();
    await runtime.stop();
    assert.deepEqual(events, ["start", "stop"]);
    assert.ok(logged.some((line) => line.includes("stuck")));
  }),
  runtimeCase("stop/grace", "refuses a grace that is no time", async ({ create }) => {
    const runtime = await create();
    for (const graceMs of [-1, Number.NaN, "5", Infinity]) await rejection(runtime.stop({ graceMs: graceMs as number }), "INVALID_OPTION");
    assert.match((await rejection(runtime.stop({ grace: 5 } as never), "INVALID_OPTION")).message, /"grace".*graceMs/);
  }),
];
