import assert from "node:assert/strict";
import type { AixgoError } from "../../errors.ts";
import { type RuntimeCase, runtimeCase } from "../case.ts";
import { rejection } from "../outcome.ts";
import { gate, heeding, settle, until } from "../waiting.ts";

export const cancelCases: readonly RuntimeCase[] = [
  runtimeCase("cancel/before", "a signal that is aborted already refuses the call before the agent runs", async ({ started }) => {
    let ran = false;
    const runtime = await started({ a: () => ((ran = true), "x") });
    await rejection(runtime.call("a", "q", { signal: AbortSignal.abort() }), "CANCELLED");
    assert.equal(ran, false);
  }),
  runtimeCase(
    "cancel/deaf",
    "an agent that ignores its signal cannot hold its caller: CANCELLED by the caller, TIMEOUT by time",
    async ({ started, never }) => {
      const began = gate();
      const runtime = await started({ a: () => (began.open(), never()) });
      const caller = new AbortController();
      const cancelled = rejection(runtime.call("a", "q", { signal: caller.signal }), "CANCELLED");
      await began.promise;
      caller.abort();
      await cancelled;
      assert.equal((await rejection(runtime.call("a", "q", { timeoutMs: 10 }), "TIMEOUT")).retryable, true);
    },
  ),
  runtimeCase("cancel/shorter", "the shorter of the runtime's and the call's timeout counts", async ({ started, never }) => {
    const strict = await started({ a: never }, { timeoutMs: 10 });
    assert.match((await rejection(strict.call("a", "q", { timeoutMs: 60_000 }), "TIMEOUT")).message, /10 ms/);
    const lenient = await started({ a: never }, { timeoutMs: 60_000 });
    assert.match((await rejection(lenient.call("a", "q", { timeoutMs: 10 }), "TIMEOUT")).message, /10 ms/);
  }),
  runtimeCase("cancel/signal", "the agent's signal aborts, with the code that the caller gets", async ({ started }) => {
    let reason: unknown;
    const runtime = await started({
      a: (_input, { signal }) => {
        signal.addEventListener("abort", () => (reason = signal.reason));
        return heeding(signal);
      },
    });
    await rejection(runtime.call("a", "q", { timeoutMs: 10 }), "TIMEOUT");
    await until("the agent's signal aborted", () => reason !== undefined);
    assert.equal((reason as AixgoError).code, "TIMEOUT");
  }),
  runtimeCase("cancel/late-signal", "a signal that the agent asks for after the abort is aborted", async ({ started }) => {
    const go = gate();
    const seen = gate<boolean>();
    const runtime = await started({
      async a(_input, context) {
        await go.promise;
        seen.open(context.signal.aborted);
        return "late";
      },
    });
    await rejection(runtime.call("a", "q", { timeoutMs: 5 }), "TIMEOUT");
    go.open();
    assert.equal(await seen.promise, true);
  }),
  runtimeCase(
    "cancel/late-work",
    "what an abandoned agent does later goes nowhere: its requests are refused, its rejection is not unhandled",
    async ({ started }) => {
      const go = gate();
      const refused = gate<unknown>();
      const runtime = await started({
        async a(_input, context) {
          await go.promise;
          const requests = [
            rejection(context.emit({ type: "text-delta", text: "x" })),
            rejection(context.setState(1)),
            rejection(context.call("a", "x")),
            rejection(context.history()),
          ];
          void Promise.all(requests).then((errors) => refused.open(errors.map(({ code }) => code)), refused.open);
          throw new Error("late");
        },
      });
      await rejection(runtime.call("a", "q", { timeoutMs: 5 }), "TIMEOUT");
      go.open();
      assert.deepEqual(await refused.promise, ["TIMEOUT", "TIMEOUT", "TIMEOUT", "TIMEOUT"]);
    },
  ),
  runtimeCase("cancel/finally", "runs the finally blocks of a generator, whatever they yield or throw", async ({ started }) => {
    const ended = gate();
    const runtime = await started({
      async *a() {
        try {
          for (;;) {
            await settle();
            yield { type: "text-delta", text: "." };
          }
        } finally {
          yield { type: "text-delta", text: "bye" };
          ended.open();
          throw new Error("in finally"); // oxlint-disable-line no-unsafe-finally
        }
      },
    });
    await rejection(runtime.call("a", "q", { timeoutMs: 10 }), "TIMEOUT");
    await ended.promise;
  }),
  runtimeCase("cancel/starving", "a generator that yields without ever waiting cannot starve its own timeout", async ({ started }) => {
    const runtime = await started({
      async *a() {
        for (;;) yield { type: "text-delta", text: "." };
      },
    });
    await rejection(runtime.call("a", "q", { timeoutMs: 20 }), "TIMEOUT");
  }),
];
