import assert from "node:assert/strict";
import { textOf, userMessage, type Message } from "../../message.ts";
import type { Runtime } from "../../runtime.ts";
import { type RuntimeCase, runtimeCase } from "../case.ts";
import { rejection } from "../outcome.ts";
import { gate, until } from "../waiting.ts";

const idle = (): string => "x";

/** Takes so many messages. */
async function take(runtime: Runtime, agent: string, count: number): Promise<string[]> {
  const texts: string[] = [];
  if (count === 0) return texts;
  for await (const message of runtime.receive(agent)) {
    texts.push(textOf(message));
    if (texts.length === count) break;
  }
  return texts;
}
const numbers = (count: number): string[] => Array.from({ length: count }, (_, n) => String(n));

export const mailboxCases: readonly RuntimeCase[] = [
  runtimeCase(
    "mail/order",
    "messages arrive in the order in which they were sent, whether or not somebody waits for them",
    async ({ started }) => {
      const runtime = await started({ a: idle }, { mailboxCapacity: 5 });
      const early = take(runtime, "a", 3);
      for (const text of numbers(3)) await runtime.send("a", text);
      assert.deepEqual(await early, numbers(3));
      const sends = Promise.all(numbers(50).map((text) => runtime.send("a", text)));
      assert.deepEqual(await take(runtime, "a", 50), numbers(50));
      await sends;
    },
  ),
  runtimeCase(
    "mail/message",
    "a message comes with id and time, the sender's own if it has them, and shares nothing with what was sent",
    async ({ started }) => {
      const runtime = await started({ a: idle });
      const mine = userMessage("b", { metadata: { from: "c" } });
      await runtime.send("a", "text");
      await runtime.send("a", mine);
      const seen: Message[] = [];
      for await (const message of runtime.receive("a")) if (seen.push(message) === 2) break;
      assert.deepEqual([seen[0]?.role, textOf(seen[0] as Message)], ["user", "text"]);
      assert.ok(seen[0]?.id && seen[0].timestamp);
      assert.deepEqual(seen[1], mine);
      assert.notEqual(seen[1], mine);
    },
  ),
  runtimeCase(
    "mail/one-receiver",
    "several receivers share: each message goes to exactly one of them, and each of them gets some",
    async ({ started }) => {
      const runtime = await started({ a: idle }, { mailboxCapacity: 4 });
      const caller = new AbortController();
      const got: string[][] = [[], [], []];
      const readers = got.map(async (texts) => {
        for await (const message of runtime.receive("a", { signal: caller.signal })) {
          texts.push(textOf(message));
          await new Promise((resolve) => setImmediate(resolve));
        }
      });
      for (const text of numbers(60)) await runtime.send("a", text);
      await until("all have arrived", () => got.flat().length >= 60);
      caller.abort();
      await Promise.all(readers);
      assert.deepEqual(
        got.flat().toSorted((x, y) => Number(x) - Number(y)),
        numbers(60),
      );
      assert.ok(
        got.every((texts) => texts.length > 0),
        JSON.stringify(got),
      );
    },
  ),
  runtimeCase("mail/room", "a full mailbox makes senders wait; they are let in, in order, as room is made", async ({ started }) => {
    const runtime = await started({ a: idle }, { mailboxCapacity: 2, sendTimeoutMs: 60_000 });
    const sent: string[] = [];
    const sends = numbers(5).map((text) => runtime.send("a", text).then(() => void sent.push(text)));
    await until("two are in", () => sent.length === 2 && runtime.mailboxStats("a").waiting === 3);
    assert.equal(runtime.mailboxStats("a").depth, 2);
    assert.deepEqual(await take(runtime, "a", 1), ["0"]);
    await until("a third is in", () => sent.length === 3);
    assert.deepEqual(sent, ["0", "1", "2"]);
    assert.deepEqual(await take(runtime, "a", 4), ["1", "2", "3", "4"]);
    await Promise.all(sends);
  }),
  runtimeCase(
    "mail/full",
    "without room in time send is a retryable TIMEOUT that names the agent, and nothing was sent",
    async ({ started }) => {
      const runtime = await started({ a: idle }, { mailboxCapacity: 1, sendTimeoutMs: 30 });
      await runtime.send("a", "first");
      const error = await rejection(runtime.send("a", "second"), "TIMEOUT");
      assert.match(error.message, /mailbox of agent "a".*30 ms/);
      assert.equal(error.retryable, true);
      assert.match((await rejection(runtime.send("a", "third", { timeoutMs: 5 }), "TIMEOUT")).message, /5 ms/);
      assert.match((await rejection(runtime.send("a", "fourth", { timeoutMs: 60_000 }), "TIMEOUT")).message, /30 ms/);
      assert.deepEqual(await take(runtime, "a", 1), ["first"]);
      await runtime.send("a", "fifth");
      assert.deepEqual(await take(runtime, "a", 1), ["fifth"]);
    },
  ),
  runtimeCase("mail/cancel", "a send that waits can be cancelled, and leaves nothing behind", async ({ started }) => {
    const runtime = await started({ a: idle }, { mailboxCapacity: 1, sendTimeoutMs: 60_000 });
    await runtime.send("a", "first");
    const caller = new AbortController();
    const waiting = rejection(runtime.send("a", "second", { signal: caller.signal }), "CANCELLED");
    await until("it waits", () => runtime.mailboxStats("a").waiting === 1);
    caller.abort();
    await waiting;
    await rejection(runtime.send("a", "third", { signal: caller.signal }), "CANCELLED");
    assert.deepEqual(await take(runtime, "a", 1), ["first"]);
    assert.equal(runtime.mailboxStats("a").depth, 0);
  }),
  runtimeCase("mail/unknown", "an unknown name is AGENT_NOT_FOUND for senders, receivers and statistics", async ({ started }) => {
    const runtime = await started({ a: idle });
    assert.match((await rejection(runtime.send("ghost", "x"), "AGENT_NOT_FOUND")).message, /"ghost"/);
    await rejection(take(runtime, "ghost", 1), "AGENT_NOT_FOUND");
    try {
      runtime.mailboxStats("ghost");
      assert.fail("mailboxStats of an unknown name was answered");
    } catch (error) {
      assert.equal((error as { code?: unknown }).code, "AGENT_NOT_FOUND");
    }
  }),
  runtimeCase("mail/checks", "refuses bad options by their name, and what is no message", async ({ started }) => {
    const runtime = await started({ a: idle });
    for (const options of [{ timeoutMs: -1 }, { signal: {} }, { principal: { id: "a" } }, { retries: 1 }]) {
      const [name] = Object.keys(options);
      assert.match((await rejection(runtime.send("a", "x", options as never), "INVALID_OPTION")).message, new RegExp(`"${name}"`));
      assert.match((await rejection(runtime.broadcast("x", options as never), "INVALID_OPTION")).message, new RegExp(`"${name}"`));
    }
    const reader = runtime.receive("a", { timeoutMs: 5 } as never)[Symbol.asyncIterator]();
    await rejection(reader.next(), "INVALID_OPTION");
    await rejection(runtime.send("a", 5 as never), "INVALID_INPUT");
    await rejection(runtime.broadcast({ role: "user" } as never), "INVALID_INPUT");
    assert.equal(runtime.mailboxStats("a").depth, 0);
  }),
  runtimeCase(
    "mail/broadcast",
    "broadcast reaches every agent registered now, as one message, each with a copy of its own",
    async ({ started }) => {
      const runtime = await started({ a: idle, b: idle, c: idle });
      await runtime.broadcast("all");
      const got: Message[] = [];
      for (const agent of ["a", "b", "c"]) {
        for await (const message of runtime.receive(agent)) {
          got.push(message);
          break;
        }
      }
      assert.deepEqual(got.map(textOf), ["all", "all", "all"]);
      assert.equal(new Set(got.map(({ id }) => id)).size, 1);
      assert.equal(new Set(got).size, 3);
    },
  ),
  runtimeCase(
    "mail/broadcast-fails",
    "broadcast that does not reach all names whom it did not reach and why; the others have it",
    async ({ started }) => {
      const runtime = await started({ full: idle, free: idle }, { mailboxCapacity: 1, sendTimeoutMs: 20 });
      await runtime.send("full", "first");
      const error = await rejection(runtime.broadcast("all"), "BROADCAST_INCOMPLETE");
      assert.match(error.message, /1 of 2 agents.*"full" \(TIMEOUT\)/);
      assert.deepEqual(error.details, { failed: [{ agent: "full", code: "TIMEOUT" }], sent: 1 });
      // Sending it again would double it.
      assert.equal(error.retryable, false);
      assert.deepEqual(await take(runtime, "free", 1), ["all"]);
      assert.deepEqual(await take(runtime, "full", 1), ["first"]);
    },
  ),
  runtimeCase("mail/broadcast-nobody", "broadcast without agents resolves; before the start it is NOT_STARTED", async ({ create }) => {
    const runtime = await create();
    await rejection(runtime.broadcast("x"), "NOT_STARTED");
    await runtime.start();
    await runtime.broadcast("x");
  }),
  runtimeCase(
    "mail/bytes",
    "a mailbox is bounded by its bytes, too: senders wait in order, and a message that can never have room is refused",
    async ({ started }) => {
      const runtime = await started({ a: idle }, { mailboxMaxBytes: 10_000, sendTimeoutMs: 60_000 });
      await rejection(runtime.send("a", "x".repeat(10_001)), "LIMIT_EXCEEDED");
      const large = (text: string): string => text.repeat(6_000);
      await runtime.send("a", large("1"));
      const second = runtime.send("a", large("2"));
      const third = runtime.send("a", "3");
      await until("both wait, though the third would have room", () => runtime.mailboxStats("a").waiting === 2);
      const got: string[] = [];
      for await (const message of runtime.receive("a")) if (got.push(textOf(message).slice(0, 1)) === 3) break;
      assert.deepEqual(got, ["1", "2", "3"]);
      await Promise.all([second, third]);
      assert.equal(runtime.mailboxStats("a").bytes, 0);

      await runtime.send("a", large("4"));
      const impatient = runtime.send("a", large("5"), { timeoutMs: 10 });
      const small = runtime.send("a", "6");
      await rejection(impatient, "TIMEOUT");
      // Whoever waited behind the one that has left has room.
      await small;
      assert.equal(runtime.mailboxStats("a").depth, 2);
      await rejection(runtime.send("a", large("7"), { timeoutMs: 0 }), "TIMEOUT");
    },
  ),
  runtimeCase(
    "mail/stats",
    "statistics count what was sent, received, refused and dropped, what lies there and who waits",
    async ({ started }) => {
      const runtime = await started({ a: idle }, { mailboxCapacity: 2, mailboxMaxBytes: 5_000, sendTimeoutMs: 20 });
      const zero = { capacity: 2, depth: 0, maxBytes: 5_000, waiting: 0, receivers: 0, sent: 0, received: 0, refused: 0, dropped: 0 };
      const counts = (): object => {
        const { bytes: _bytes, ...rest } = runtime.mailboxStats("a");
        return rest;
      };
      assert.deepEqual(runtime.mailboxStats("a"), { ...zero, bytes: 0 });
      await runtime.send("a", "1");
      await runtime.send("a", "2");
      await rejection(runtime.send("a", "3"), "TIMEOUT");
      assert.deepEqual(counts(), { ...zero, depth: 2, sent: 2, refused: 1 });
      const { bytes } = runtime.mailboxStats("a");
      assert.ok(bytes > 0);
      const reader = runtime.receive("a")[Symbol.asyncIterator]();
      await reader.next();
      assert.deepEqual(counts(), { ...zero, depth: 1, sent: 2, received: 1, refused: 1, receivers: 1 });
      assert.ok(runtime.mailboxStats("a").bytes < bytes);
      await reader.return?.();
      assert.equal(runtime.mailboxStats("a").receivers, 0);
    },
  ),
  runtimeCase(
    "mail/producer-consumer",
    "lesson: an agent that consumes from its start on gets all that another produces, in order",
    async ({ create }) => {
      const runtime: Runtime = await create({ mailboxCapacity: 3 });
      const got: string[] = [];
      let consuming: Promise<void> | undefined;
      runtime
        .register({
          name: "consumer",
          execute: idle,
          async start(signal) {
            consuming = (async () => {
              for await (const message of runtime.receive("consumer", { signal })) got.push(textOf(message));
            })();
          },
          stop: async () => consuming,
        })
        .register("producer", async (input, context) => {
          for (const text of numbers(Number(textOf(input)))) await runtime.send("consumer", text, { signal: context.signal });
          return "sent";
        });
      await runtime.startPhased({ producer: ["consumer"] });
      assert.equal((await runtime.call("producer", "40")).text, "sent");
      await until("all have arrived", () => got.length === 40);
      assert.deepEqual(got, numbers(40));
      await runtime.stop();
      await consuming;
    },
  ),
  runtimeCase(
    "mail/limit-of-one",
    "a call that waits for mail or for room lends its slot: producer and consumer share a limit of 1",
    async ({ create }) => {
      const runtime: Runtime = await create({ maxConcurrentCalls: 1, mailboxCapacity: 1, sendTimeoutMs: 30_000 });
      let working = 0;
      let most = 0;
      const work = async (): Promise<void> => {
        most = Math.max(most, (working += 1));
        await new Promise((resolve) => setImmediate(resolve));
        working -= 1;
      };
      runtime
        .register("consumer", async () => {
          const texts: string[] = [];
          for await (const message of runtime.receive("consumer")) {
            await work();
            if (texts.push(textOf(message)) === 10) break;
          }
          return texts.join();
        })
        .register("producer", async () => {
          for (const text of numbers(10)) {
            await work();
            await runtime.send("consumer", text);
          }
          return "sent";
        });
      await runtime.start();
      const [consumed, produced] = await Promise.all([runtime.call("consumer", ""), runtime.call("producer", "")]);
      assert.equal(consumed.text, numbers(10).join());
      assert.equal(produced.text, "sent");
      assert.equal(most, 1);
    },
  ),
  runtimeCase("mail/late-agent", "mail for an agent registered late starts it", async ({ started }) => {
    const runtime = await started({});
    const got = gate<string>();
    runtime.register({
      name: "late",
      execute: idle,
      async start(signal) {
        void (async () => {
          for await (const message of runtime.receive("late", { signal })) got.open(textOf(message));
        })();
      },
    });
    await runtime.send("late", "hello");
    assert.equal(await got.promise, "hello");
  }),
];
