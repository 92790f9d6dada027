import assert from "node:assert/strict";
import { textOf } from "../../message.ts";
import { type RuntimeCase, runtimeCase } from "../case.ts";
import { rejection } from "../outcome.ts";
import { gate, settle, until } from "../waiting.ts";

const idle = (): string => "x";

export const mailboxLifeCases: readonly RuntimeCase[] = [
  runtimeCase(
    "mail/before-start",
    "send is NOT_STARTED before the start; a receiver may be there already and is served after it",
    async ({ create }) => {
      const runtime = (await create()).register("a", idle);
      await rejection(runtime.send("a", "x"), "NOT_STARTED");
      const first = runtime.receive("a")[Symbol.asyncIterator]().next();
      await runtime.start();
      await runtime.send("a", "hello");
      const { value } = await first;
      assert.equal(textOf(value), "hello");
    },
  ),
  runtimeCase("mail/leaving", "a loop that is left takes nothing more; what it did not take is there for the next", async ({ started }) => {
    const runtime = await started({ a: idle });
    for (const text of ["1", "2", "3"]) await runtime.send("a", text);
    for await (const message of runtime.receive("a")) {
      assert.equal(textOf(message), "1");
      break;
    }
    const waiting = runtime.receive("a")[Symbol.asyncIterator]();
    assert.equal(textOf((await waiting.next()).value), "2");
    assert.equal(textOf((await waiting.next()).value), "3");
    const next = waiting.next();
    await settle();
    await waiting.return?.();
    assert.equal((await next).done, true);
    await runtime.send("a", "4");
    assert.equal((await waiting.next()).done, true);
    assert.equal(runtime.mailboxStats("a").depth, 1);
  }),
  runtimeCase(
    "mail/signal",
    "a receiver's signal ends its loop without an error and without taking a message with it",
    async ({ started }) => {
      const runtime = await started({ a: idle });
      const caller = new AbortController();
      const waiting = runtime.receive("a", { signal: caller.signal })[Symbol.asyncIterator]().next();
      await settle();
      caller.abort();
      assert.equal((await waiting).done, true);
      await runtime.send("a", "kept");
      for await (const _ of runtime.receive("a", { signal: caller.signal })) assert.fail("a loop whose signal is aborted took a message");
      assert.equal(runtime.mailboxStats("a").depth, 1);
    },
  ),
  runtimeCase(
    "mail/unregister",
    "lesson: unregistering while many send refuses those that wait, ends the receivers, and throws nowhere",
    async ({ started }) => {
      const runtime = await started({ a: idle, b: idle }, { mailboxCapacity: 2, sendTimeoutMs: 60_000 });
      const sends = Array.from({ length: 50 }, (_, n) =>
        runtime.send("a", String(n)).then(
          () => "ok",
          (error: { code: string }) => error.code,
        ),
      );
      await until("they wait", () => runtime.mailboxStats("a").waiting === 48);
      assert.equal(await runtime.unregister("a"), true);
      const outcomes = await Promise.all(sends);
      assert.deepEqual([outcomes.filter((code) => code === "ok").length, new Set(outcomes)], [2, new Set(["ok", "AGENT_NOT_FOUND"])]);
      await rejection(runtime.send("a", "late"), "AGENT_NOT_FOUND");
      const reading = runtime.receive("b")[Symbol.asyncIterator]().next();
      await settle();
      await runtime.unregister("b");
      assert.equal((await reading).done, true);
      // The name begins anew, with an empty mailbox.
      runtime.register("a", idle);
      assert.equal(runtime.mailboxStats("a").depth, 0);
      await runtime.send("a", "new");
      for await (const message of runtime.receive("a")) {
        assert.equal(textOf(message), "new");
        break;
      }
    },
  ),
  runtimeCase(
    "mail/unregister-drains",
    "a receiver that is there is given what lies in the mailbox before it ends",
    async ({ started }) => {
      const runtime = await started({ a: idle });
      for (const text of ["1", "2", "3"]) await runtime.send("a", text);
      const got: string[] = [];
      for await (const message of runtime.receive("a")) {
        got.push(textOf(message));
        if (got.length === 1) await runtime.unregister("a");
      }
      assert.deepEqual(got, ["1", "2", "3"]);
    },
  ),
  runtimeCase("mail/stop", "stop refuses senders that wait, gives receivers what is left, and ends them", async ({ started }) => {
    const runtime = await started({ a: idle, b: idle }, { mailboxCapacity: 2, sendTimeoutMs: 60_000 });
    const got: string[] = [];
    const first = gate();
    const go = gate();
    const reading = (async () => {
      for await (const message of runtime.receive("a")) {
        got.push(textOf(message));
        first.open();
        await go.promise;
      }
    })();
    const idleReader = runtime.receive("b")[Symbol.asyncIterator]().next();
    await runtime.send("a", "1");
    await first.promise;
    await runtime.send("a", "2");
    await runtime.send("a", "3");
    const waiting = rejection(runtime.send("a", "4"), "NOT_STARTED");
    await until("it waits", () => runtime.mailboxStats("a").waiting === 1);
    const stopping = runtime.stop();
    await waiting;
    assert.equal((await idleReader).done, true);
    await rejection(runtime.send("a", "5"), "NOT_STARTED");
    go.open();
    await stopping;
    await reading;
    assert.deepEqual(got, ["1", "2", "3"]);
  }),
  runtimeCase(
    "mail/stop-drops",
    "what nobody is there to receive is dropped with the stop; after it the mailbox is empty",
    async ({ started }) => {
      const runtime = await started({ a: idle });
      await runtime.send("a", "old");
      await runtime.stop();
      await runtime.start();
      assert.equal(runtime.mailboxStats("a").depth, 0);
      await runtime.send("a", "new");
      for await (const message of runtime.receive("a")) {
        assert.equal(textOf(message), "new");
        break;
      }
    },
  ),
  runtimeCase(
    "mail/receiving-call",
    "an agent that reads its mail inside a call ends with the stop, within its grace",
    async ({ create }) => {
      const runtime = await create();
      const got: string[] = [];
      runtime.register("reader", async () => {
        for await (const message of runtime.receive("reader")) got.push(textOf(message));
        return got.join();
      });
      await runtime.start();
      const call = runtime.call("reader", "");
      await until("it reads", () => runtime.mailboxStats("reader").receivers === 1);
      await runtime.send("reader", "1");
      await runtime.stop();
      assert.equal((await call).text, "1");
    },
  ),
];
