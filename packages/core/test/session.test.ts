import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  AixgoError,
  createRuntime,
  type Execute,
  type Runtime,
  type RuntimeOptions,
  textOf,
  userMessage,
  withSessionManager,
} from "../src/index.ts";
import { collect, errorOf, gate, type ObservedHost, observedHost, settle } from "./support.ts";

const unhandled: unknown[] = [];
const note = (error: unknown): void => void unhandled.push(error);
beforeEach(() => {
  unhandled.length = 0;
  process.on("unhandledRejection", note);
});
afterEach(async () => {
  await settle();
  process.off("unhandledRejection", note);
  expect(unhandled).toEqual([]);
});

async function withHost(execute: Execute, options: RuntimeOptions = {}): Promise<{ runtime: Runtime; host: ObservedHost }> {
  const host = observedHost();
  const runtime = createRuntime(withSessionManager(host), options).register("agent", execute);
  await runtime.start();
  return { runtime, host };
}

describe("callWithSession", () => {
  it("opens the turn, runs the agent in it with the stored input, and completes it once", async () => {
    const { runtime, host } = await withHost(async (input, context) => {
      expect(context.session).toEqual({ id: "s1", userId: "ada", turnId: expect.any(String), attempt: 1 });
      return `${(await context.history()).length} ${input.id} ${textOf(input)}`;
    });
    const reply = await runtime.callWithSession("agent", "hi", "s1");
    expect(reply).toMatchObject({ text: "0 e1 hi", turn: { sessionId: "s1", status: "completed", replayed: false, version: 2 } });
    expect((await runtime.callWithSession("agent", "again", "s1")).text).toMatch(/^2 e\d+ again$/);
    expect(host.events).toEqual(["open s1 as agent", "complete s1 0 e1 hi", "open s1 as agent", expect.stringContaining("complete s1")]);
  });
  it("hands the host a checked input without an id of its own making, and the caller's options with a live signal", async () => {
    const { runtime, host } = await withHost(() => "x");
    const principal = { id: "ada" };
    await runtime.callWithSession("agent", "hi", "s1", { turnKey: "k", ifBusy: "reject", queueTimeoutMs: 0, principal });
    expect(host.requests[0]).toEqual({
      agent: "agent",
      input: { role: "user", parts: [{ type: "text", text: "hi" }] },
      options: { turnKey: "k", ifBusy: "reject", queueTimeoutMs: 0, principal, signal: expect.any(AbortSignal) },
    });
    const mine = userMessage("x");
    await runtime.callWithSession("agent", mine, "s1");
    expect(host.requests[1]?.input).toEqual(mine);
  });
  it("a generator's yield and an emit resume only when the message is stored; the answer is stored last", async () => {
    const { runtime, host } = await withHost(async function* (_input, context) {
      yield { type: "message", message: "one" };
      expect(host.events.at(-1)).toBe("append s1 one");
      await context.emit({ type: "message", message: "two" });
      expect(host.events.at(-1)).toBe("append s1 two");
      expect((await context.steps()).map(textOf)).toEqual(["one", "two"]);
      return { message: "three", usage: { outputTokens: 7 } };
    });
    const reply = await runtime.callWithSession("agent", "hi", "s1");
    expect(reply.usage).toEqual({ outputTokens: 7 });
    expect(host.events).toEqual(["open s1 as agent", "append s1 one", "append s1 two", "complete s1 three"]);
  });
  it("emits that the agent does not wait for are stored before its answer", async () => {
    const slow = gate();
    const { runtime, host } = await withHost((_input, context) => {
      void context.emit({ type: "message", message: "one" });
      return "answer";
    });
    host.append = () => slow.promise;
    const call = runtime.callWithSession("agent", "hi", "s1");
    await settle();
    slow.open();
    await call;
    expect(host.events).toEqual(["open s1 as agent", "append s1 one", "complete s1 answer"]);
  });
  it("a returned message that this attempt stored is not stored again", async () => {
    const { runtime, host } = await withHost(async function* () {
      const answer = { role: "assistant" as const, parts: [{ type: "text" as const, text: "same" }] };
      yield { type: "message", message: answer };
      return answer;
    });
    const stream = runtime.streamWithSession("agent", "hi", "s1");
    expect((await collect(stream)).map((event) => event.type)).toEqual(["message"]);
    expect(host.log("s1").messages.map(textOf)).toEqual(["hi", "same"]);
    expect((await stream.reply).message).toEqual(host.log("s1").messages[1]);
  });
  it("answers a completed turn from the log, without running the agent; a stream shows that answer", async () => {
    let runs = 0;
    const { runtime, host } = await withHost(() => `run ${(runs += 1)}`);
    const first = await runtime.callWithSession("agent", "hi", "s1", { turnKey: "k" });
    const again = runtime.streamWithSession("agent", "hi", "s1", { turnKey: "k" });
    expect(await collect(again)).toMatchObject([{ type: "message", message: { id: first.message.id } }]);
    expect((await again.reply).turn?.replayed).toBe(true);
    expect(runs).toBe(1);
    expect(host.events.filter((event) => event.startsWith("complete"))).toHaveLength(1);
  });
  it("state goes to the host", async () => {
    const { runtime, host } = await withHost(async (_input, context) => {
      const before = await context.getState();
      await context.setState({ n: 1 });
      return JSON.stringify(before ?? null);
    });
    expect((await runtime.callWithSession("agent", "a", "s1")).text).toBe("null");
    expect((await runtime.callWithSession("agent", "b", "s1")).text).toBe('{"n":1}');
    expect(host.log("s1").state).toEqual({ n: 1 });
  });
});

describe("lesson: nothing is written before the call is known to be possible", () => {
  it.each<[string, string, (runtime: Runtime) => Promise<unknown>]>([
    ["an unknown agent", "AGENT_NOT_FOUND", (runtime) => runtime.callWithSession("nobody", "x", "s1")],
    ["an agent that is not ready", "NOT_STARTED", (runtime) => runtime.callWithSession("lazy", "x", "s1")],
    ["an agent with sessions disabled", "INVALID_OPTION", (runtime) => runtime.callWithSession("stateless", "x", "s1")],
    ["an invalid input", "INVALID_INPUT", (runtime) => runtime.callWithSession("agent", { role: "user" } as never, "s1")],
    ["an invalid option", "INVALID_OPTION", (runtime) => runtime.callWithSession("agent", "x", "s1", { ifBusy: "wait" } as never)],
    ["no session id", "INVALID_INPUT", (runtime) => runtime.callWithSession("agent", "x", undefined as never)],
    ["an aborted signal", "CANCELLED", (runtime) => runtime.callWithSession("agent", "x", "s1", { signal: AbortSignal.abort() })],
    ["a runtime that is stopped", "NOT_STARTED", async (runtime) => (await runtime.stop(), runtime.callWithSession("agent", "x", "s1"))],
  ])("%s is %s and opens no turn", async (_name, code, act) => {
    const { runtime, host } = await withHost(() => "x");
    runtime
      .register({ name: "lazy", ready: () => false, execute: () => "x" })
      .register({ name: "stateless", sessions: "disabled", execute: () => "x" });
    expect((await errorOf(act(runtime))).code).toBe(code);
    expect([host.events, host.requests]).toEqual([[], []]);
  });
  it("without a session manager says which option is missing, for calls and cancelTurn", async () => {
    const runtime = createRuntime().register("agent", () => "x");
    await runtime.start();
    for (const refused of [
      runtime.callWithSession("agent", "x", "s1"),
      runtime.streamWithSession("agent", "x", "s1").reply,
      runtime.cancelTurn("s1"),
    ]) {
      expect(await errorOf(refused)).toMatchObject({ code: "INVALID_OPTION", message: expect.stringContaining("withSessionManager") });
    }
  });
  it("an agent with sessions disabled answers calls without one", async () => {
    const runtime = createRuntime().register({ name: "stateless", sessions: "disabled", execute: () => "x" });
    await runtime.start();
    expect((await runtime.call("stateless", "q")).text).toBe("x");
  });
});

describe("a turn that fails", () => {
  it.each<[string, Execute, string]>([
    [
      "a throwing agent",
      () => {
        throw new Error("boom");
      },
      "AGENT_FAILED",
    ],
    ["a bad answer", () => 5 as never, "AGENT_FAILED"],
    [
      "a bad yield",
      async function* () {
        yield { type: "message", message: 5 as never };
        return "x";
      },
      "AGENT_FAILED",
    ],
    ["a timeout", () => new Promise(() => {}), "TIMEOUT"],
  ])("by %s is ended once, and the next turn runs", async (_name, execute, code) => {
    const { runtime, host } = await withHost(execute);
    expect((await errorOf(runtime.callWithSession("agent", "x", "s1", { timeoutMs: 20 }))).code).toBe(code);
    expect(host.events).toEqual(["open s1 as agent", `fail s1 ${code}`]);
    runtime.register("good", () => "fine");
    expect((await runtime.callWithSession("good", "y", "s1")).text).toBe("fine");
  });
  it("because a message could not be stored tells the agent at its yield, and the caller", async () => {
    let told: unknown;
    const { runtime, host } = await withHost(async function* () {
      try {
        yield { type: "message", message: "one" };
      } catch (error) {
        told = error;
        throw error;
      }
      return "never";
    });
    const fenced = new AixgoError("FENCED", "the lease is lost");
    host.append = async () => {
      throw fenced;
    };
    expect(await errorOf(runtime.callWithSession("agent", "x", "s1"))).toBe(fenced);
    expect(told).toBe(fenced);
    expect(host.events).toEqual(["open s1 as agent", "fail s1 FENCED"]);
  });
  it("because its end could not be written is not ended a second time", async () => {
    const { runtime, host } = await withHost(() => "x");
    host.complete = async () => {
      throw new AixgoError("OUTCOME_UNKNOWN", "the store did not say");
    };
    expect((await errorOf(runtime.callWithSession("agent", "x", "s1"))).code).toBe("OUTCOME_UNKNOWN");
    expect(host.events).toEqual(["open s1 as agent"]);
  });
  it("answers at the timeout although the store hangs, and lets the agent clean up", async () => {
    const ended = gate();
    const { runtime, host } = await withHost(async function* () {
      try {
        yield { type: "message", message: "one" };
        return "x";
      } finally {
        ended.open();
      }
    });
    host.append = () => new Promise(() => {});
    expect((await errorOf(runtime.callWithSession("agent", "x", "s1", { timeoutMs: 20 }))).code).toBe("TIMEOUT");
    await ended.promise;
  });
  it("that has its answer is not timed out while the answer is being stored", async () => {
    let signal: AbortSignal | undefined;
    const { runtime, host } = await withHost((_input, context) => {
      signal = context.signal;
      return "x";
    });
    host.complete = () => new Promise((resolve) => setTimeout(resolve, 40));
    expect((await runtime.callWithSession("agent", "x", "s1", { timeoutMs: 10 })).text).toBe("x");
    expect(signal?.aborted).toBe(false);
  });
  it("or that was completed cannot be written to by work that the agent left behind", async () => {
    const go = gate();
    const late = gate<string[]>();
    const { runtime, host } = await withHost((_input, context) => {
      void go.promise.then(async () => {
        const requests = [
          context.emit({ type: "message", message: "late" }),
          context.setState(1),
          context.history(),
          context.call("agent", "x"),
        ];
        late.open((await Promise.all(requests.map(errorOf))).map((error) => error.code));
      });
      return "done";
    });
    await runtime.callWithSession("agent", "x", "s1");
    go.open();
    expect(await late.promise).toEqual(["TURN_ENDED", "TURN_ENDED", "TURN_ENDED", "TURN_ENDED"]);
    expect(host.log("s1").messages.map(textOf)).toEqual(["x", "done"]);
  });
  it("cannot be written to by an agent that goes on", async () => {
    const go = gate();
    const late = gate<string>();
    const { runtime, host } = await withHost(async (_input, context) => {
      await go.promise;
      late.open((await errorOf(context.emit({ type: "message", message: "late" }))).code);
      return "late";
    });
    await errorOf(runtime.callWithSession("agent", "x", "s1", { timeoutMs: 10 }));
    go.open();
    expect(await late.promise).toBe("TIMEOUT");
    await settle();
    expect(host.events).toEqual(["open s1 as agent", "fail s1 TIMEOUT"]);
  });
});

describe("cancelling a turn", () => {
  const untilAborted: Execute = (_input, { signal }) =>
    new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));

  it("cancelTurn aborts the agent wherever it was asked, and the caller gets CANCELLED", async () => {
    const { runtime, host } = await withHost(untilAborted);
    expect(await runtime.cancelTurn("s1")).toBe(false);
    const call = errorOf(runtime.callWithSession("agent", "x", "s1"));
    await settle();
    expect(await runtime.cancelTurn("s1", { reason: "user" })).toBe(true);
    expect(await call).toMatchObject({ code: "CANCELLED", message: "user" });
    expect(host.events).toEqual(["open s1 as agent", "fail s1 CANCELLED"]);
  });
  it("options.signal stops the turn; leaving a stream does not; stream.cancel does", async () => {
    const { runtime, host } = await withHost(async function* () {
      yield { type: "text-delta", text: "a" };
      await settle();
      return "done";
    });
    const left = runtime.streamWithSession("agent", "x", "s1");
    for await (const _ of left) break;
    expect((await left.reply).text).toBe("done");

    const caller = new AbortController();
    const aborted = runtime.streamWithSession("agent", "x", "s2", { signal: caller.signal });
    const reading = errorOf(
      (async () => {
        for await (const _ of aborted) caller.abort();
      })(),
    );
    expect((await reading).code).toBe("CANCELLED");

    const cancelled = runtime.streamWithSession("agent", "x", "s3");
    await cancelled[Symbol.asyncIterator]().next();
    await cancelled.cancel("enough");
    expect((await errorOf(cancelled.reply)).message).toContain("enough");
    expect(host.events.filter((event) => !event.startsWith("open"))).toEqual([
      "complete s1 done",
      "fail s2 CANCELLED",
      "fail s3 CANCELLED",
    ]);
  });
  it("a cancel while the turn is being opened answers at once, and a turn that opens all the same is given up", async () => {
    const { runtime, host } = await withHost(() => "x");
    const caller = new AbortController();
    const slow = gate();
    const open = host.openTurn.bind(host);
    host.openTurn = async (sessionId, request) => {
      await slow.promise;
      return open(sessionId, request);
    };
    const call = errorOf(runtime.callWithSession("agent", "x", "s1", { signal: caller.signal }));
    await settle();
    caller.abort();
    expect((await call).code).toBe("CANCELLED");
    slow.open();
    await settle();
    expect(host.events).toEqual(["open s1 as agent", "fail s1 CANCELLED"]);
  });
  it("stop lets turns end, and aborts those that do not", async () => {
    const { runtime, host } = await withHost(untilAborted);
    const call = errorOf(runtime.callWithSession("agent", "x", "s1"));
    await settle();
    await runtime.stop({ graceMs: 1 });
    expect((await call).code).toBe("CANCELLED");
    expect(host.events).toEqual(["open s1 as agent", "fail s1 CANCELLED"]);
  });
  it("waiting for a busy session is not the agent's time", async () => {
    const go = gate<string>();
    const { runtime } = await withHost((input) => (textOf(input) === "first" ? go.promise : "quick"));
    const first = runtime.callWithSession("agent", "first", "s1");
    await settle();
    const second = runtime.callWithSession("agent", "second", "s1", { timeoutMs: 30 });
    await new Promise((resolve) => setTimeout(resolve, 60));
    go.open("slow");
    expect((await Promise.all([first, second])).map((reply) => reply.text)).toEqual(["slow", "quick"]);
  });
});

describe("turns and the limit", () => {
  it("holds for turns as for calls", async () => {
    let running = 0;
    let most = 0;
    const { runtime } = await withHost(
      async () => {
        most = Math.max(most, (running += 1));
        await settle();
        running -= 1;
        return "x";
      },
      { maxConcurrentCalls: 2 },
    );
    await Promise.all(
      Array.from({ length: 10 }, (_, n) => (n % 2 ? runtime.callWithSession("agent", "x", `s${n % 5}`) : runtime.call("agent", "x"))),
    );
    expect(most).toBe(2);
  });
  it("turns that queue for a busy session leave the slots to others", async () => {
    const go = gate<string>();
    const { runtime, host } = await withHost((input) => (textOf(input) === "x" ? "free" : go.promise), { maxConcurrentCalls: 2 });
    const busy = [1, 2, 3, 4].map(() => runtime.callWithSession("agent", "slow", "s1"));
    await settle();
    expect((await runtime.call("agent", "x")).text).toBe("free");
    go.open("slow");
    await Promise.all(busy);
    expect(host.events.filter((event) => event.startsWith("complete"))).toHaveLength(4);
  });
  it("a turn that waits for a slot is given up by its timeout", async () => {
    const go = gate<string>();
    const { runtime, host } = await withHost(() => go.promise, { maxConcurrentCalls: 1 });
    const first = runtime.call("agent", "x");
    await settle();
    expect((await errorOf(runtime.callWithSession("agent", "x", "s1", { timeoutMs: 10 }))).code).toBe("TIMEOUT");
    expect(host.events).toEqual(["open s1 as agent", "fail s1 TIMEOUT"]);
    go.open("x");
    await first;
  });
  it("a sub-call that waits for a session does not deadlock with the turn that waits for the slot", async () => {
    const go = gate();
    const { runtime, host } = await withHost(() => "leaf", { maxConcurrentCalls: 1 });
    runtime.register("outer", async () => {
      await go.promise;
      return (await runtime.callWithSession("agent", "inner", "s2")).text;
    });
    const outer = runtime.callWithSession("outer", "x", "s1");
    await settle();
    const other = runtime.callWithSession("agent", "other", "s2"); // holds s2, waits for the slot that outer holds
    await settle();
    expect(host.events).toEqual(["open s1 as outer", "open s2 as agent"]);
    go.open();
    expect((await Promise.all([outer, other])).map((reply) => reply.text)).toEqual(["leaf", "leaf"]);
    expect((await runtime.call("agent", "x")).text).toBe("leaf");
  });
});

describe("calls inside a turn", () => {
  it("context.call never opens the session, and lends the history when asked", async () => {
    const { runtime, host } = await withHost(async (_input, context) => {
      const given = (await context.history({ last: 1 })).map(textOf);
      return JSON.stringify([context.session ?? null, given, await context.steps()]);
    });
    runtime.register(
      "outer",
      async (_input, context) => `${(await context.call("agent", "a")).text} ${(await context.call("agent", "b", { history: true })).text}`,
    );
    await runtime.callWithSession("outer", "first", "s1");
    const { text } = await runtime.callWithSession("outer", "second", "s1");
    expect(host.requests).toHaveLength(2);
    expect(text).toMatch(/^\[null,\[\],\[\]\] \[null,\["first",.+\],\[\]\]$/s);
  });
  it("callWithSession tells the host the chain of sessions it is part of, and one of them is TURN_REENTRANT", async () => {
    const { runtime, host } = await withHost(() => "leaf");
    const codes: string[] = [];
    runtime.register("middle", async () => {
      codes.push(
        (await errorOf(runtime.callWithSession("agent", "x", "s1"))).code,
        (await errorOf(runtime.callWithSession("agent", "x", "s2"))).code,
      );
      return (await runtime.callWithSession("agent", "x", "s3")).text;
    });
    runtime.register("outer", async (_input, context) => (await context.call("hop", "x")).text);
    runtime.register("hop", async () => (await runtime.callWithSession("middle", "x", "s2")).text);
    expect((await runtime.callWithSession("outer", "x", "s1")).text).toBe("leaf");
    expect(codes).toEqual(["TURN_REENTRANT", "TURN_REENTRANT"]);
    expect(host.requests.map((request) => request.within)).toEqual([undefined, ["s1"], ["s1", "s2"], ["s1", "s2"], ["s1", "s2"]]);
  });
  it("work that outlives its turn is part of it no more", async () => {
    const go = gate();
    const left = gate<string>();
    const { runtime, host } = await withHost(() => "later");
    runtime.register("parent", () => {
      void go.promise.then(() => runtime.callWithSession("agent", "x", "s1")).then((reply) => left.open(reply.text), left.fail);
      return "gone";
    });
    await runtime.callWithSession("parent", "x", "s1");
    go.open();
    expect(await left.promise).toBe("later");
    expect(host.requests[1]?.within).toBeUndefined();
  });
  it("the chain travels from one runtime to another", async () => {
    const { runtime: second, host } = await withHost(() => "leaf");
    const first = createRuntime({ sessions: host }).register(
      "outer",
      async () => (await errorOf(second.callWithSession("agent", "x", "s1"))).code,
    );
    await first.start();
    expect((await first.callWithSession("outer", "x", "s1")).text).toBe("TURN_REENTRANT");
  });
});
