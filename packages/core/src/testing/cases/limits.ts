import assert from "node:assert/strict";
import { textOf } from "../../message.ts";
import { type RuntimeCase, runtimeCase } from "../case.ts";
import { rejection } from "../outcome.ts";
import { gate, settle, until } from "../waiting.ts";

export const limitCases: readonly RuntimeCase[] = [
  runtimeCase("limit/holds", "maxConcurrentCalls holds for calls and streams together, and all of them end", async ({ started }) => {
    let running = 0;
    let most = 0;
    const runtime = await started(
      {
        async a() {
          most = Math.max(most, (running += 1));
          await settle();
          running -= 1;
          return "x";
        },
      },
      { maxConcurrentCalls: 2 },
    );
    const calls = Array.from({ length: 12 }, (_, n) => (n % 2 ? runtime.call("a", "x") : runtime.stream("a", "x").reply));
    assert.equal((await Promise.all(calls)).length, 12);
    assert.equal(most, 2);
  }),
  runtimeCase(
    "limit/abandoned",
    "an abandoned agent keeps its slot until it has ended; who waits for one can be cancelled",
    async ({ started }) => {
      const go = gate<string>();
      let runs = 0;
      const runtime = await started({ a: () => ((runs += 1) === 1 ? go.promise : "second") }, { maxConcurrentCalls: 1 });
      await rejection(runtime.call("a", "q", { timeoutMs: 5 }), "TIMEOUT");
      const caller = new AbortController();
      const impatient = rejection(runtime.call("a", "q", { signal: caller.signal }), "CANCELLED");
      const patient = runtime.call("a", "q", { timeoutMs: 60_000 });
      await settle();
      assert.equal(runs, 1);
      caller.abort();
      await impatient;
      go.open("late");
      assert.equal((await patient).text, "second");
    },
  ),
  runtimeCase("limit/waiting", "waiting for a slot is not the agent's time", async ({ started }) => {
    const go = gate<string>();
    let runs = 0;
    const runtime = await started({ a: () => ((runs += 1) === 1 ? go.promise : "quick") }, { maxConcurrentCalls: 1 });
    const first = runtime.call("a", "q");
    await until("the first call runs", () => runs === 1);
    const second = runtime.call("a", "q", { timeoutMs: 300 });
    await new Promise((resolve) => setTimeout(resolve, 350));
    go.open("slow");
    assert.deepEqual(
      (await Promise.all([first, second])).map((reply) => reply.text),
      ["slow", "quick"],
    );
  }),
  runtimeCase("limit/given-back", "a call that fails, in whatever way, gives its slot back", async ({ started }) => {
    const runtime = await started(
      {
        a(input) {
          if (textOf(input) === "throw") throw new Error("x");
          return textOf(input) === "bad" ? (5 as never) : "ok";
        },
      },
      { maxConcurrentCalls: 1 },
    );
    for (const input of ["throw", "bad", "throw"]) await rejection(runtime.call("a", input), "AGENT_FAILED");
    await rejection(runtime.call("a", 5 as never), "INVALID_INPUT");
    await rejection(runtime.call("a", "q", { signal: AbortSignal.abort() }), "CANCELLED");
    assert.equal((await runtime.call("a", "fine")).text, "ok");
  }),
];
