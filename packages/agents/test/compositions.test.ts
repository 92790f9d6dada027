import {
  AixgoError,
  createRuntime,
  type Execute,
  isAixgoError,
  type Message,
  type Part,
  type Runtime,
  textOf,
  userMessage,
  withSessionManager,
} from "@aixgo/core";
import { createMemoryBackend, createSessionManager, type Session } from "@aixgo/session";
import { describe, expect, it } from "vitest";
import { createClassifierAgent, createReActAgent, parallel, reflection, router, sequential, type StageReply } from "../src/index.ts";
import { createScriptedModel, type ScriptedModel } from "../src/testing.ts";

type Agents = Readonly<Record<string, Execute>>;
const say =
  (words: string): Execute =>
  (input) => ({ message: `${words}(${textOf(input)})`, usage: { inputTokens: 1, outputTokens: 2 } });
const fail =
  (code = "AGENT_FAILED"): Execute =>
  () => {
    throw new AixgoError(code, "out of ink", { details: { ink: 0 }, retryable: true });
  };

async function started(agents: Agents): Promise<Runtime> {
  const runtime = createRuntime();
  for (const [name, execute] of Object.entries(agents)) runtime.register(name, execute);
  await runtime.start();
  return runtime;
}
async function run(main: Execute, agents: Agents, input: string | Message = "task") {
  await using runtime = await started({ main, ...agents });
  const stream = runtime.stream("main", input);
  const shown: string[] = [];
  for await (const event of stream) shown.push("text" in event ? event.text : event.type);
  return { reply: await stream.reply, shown };
}
async function inSession(agents: Agents): Promise<{ runtime: Runtime; session: Session }> {
  const sessions = createSessionManager({ backend: createMemoryBackend() });
  const runtime = createRuntime(withSessionManager(sessions));
  for (const [name, execute] of Object.entries(agents)) runtime.register(name, execute);
  await runtime.start();
  return { runtime, session: await sessions.create("main") };
}
const streaming = (text: string): Execute =>
  async function* () {
    for (const character of text) yield { type: "text-delta", text: character };
    yield { type: "message", message: "a step of its own" };
    return text;
  };

describe("sequential", () => {
  it("hands each agent's answer to the next, shows the last one's deltas, and sums the usage", async () => {
    const { reply, shown } = await run(sequential(["a", "b", "c"]), {
      a: say("a"),
      b: streaming("hidden"),
      c: async function* (input) {
        yield { type: "text-delta", text: "c:" };
        return { message: `c(${textOf(input)})`, usage: { inputTokens: 10 } };
      },
    });
    expect(reply.text).toBe("c(hidden)");
    expect(shown).toEqual(["c:", "message"]);
    expect(reply.usage).toEqual({ inputTokens: 11, outputTokens: 2 });
  });

  it("lets a stage say what its agent is asked", async () => {
    const ask = (previous: StageReply | undefined, input: Message) => `${textOf(input)} after ${previous?.agent}`;
    expect((await run(sequential(["a", { agent: "b", input: ask }]), { a: say("a"), b: say("b") })).reply.text).toBe("b(task after a)");
  });

  it("hands on text, files and data, but no thoughts and no tools", async () => {
    const seen: string[][] = [];
    const see: Execute = (input) => (seen.push(input.parts.map(({ type }) => type)), "ok");
    const file = { type: "file", mediaType: "image/png", url: "https://x.test/a.png" } as const;
    const a: Execute = () => ({
      role: "assistant",
      parts: [{ type: "reasoning", text: "hm" }, { type: "text", text: "t" }, file, { type: "data-x", data: 1 }],
    });
    await run(sequential(["a", "see"]), { a, see });
    expect(seen).toEqual([["text", "file", "data-x"]]);
  });

  it("fails with the code of the agent that failed, and names the stage and the agent", async () => {
    let ran = false;
    const failed = run(sequential(["a", "b", "c"]), { a: say("a"), b: fail("LIMIT_EXCEEDED"), c: () => ((ran = true), "c") });
    await expect(failed).rejects.toMatchObject({
      code: "LIMIT_EXCEEDED",
      message: 'sequential "main", stage 2, agent "b": out of ink',
      details: { ink: 0 },
      retryable: true,
    });
    await expect(run(sequential(["nobody"]), {})).rejects.toMatchObject({
      code: "AGENT_NOT_FOUND",
      message: expect.stringContaining('"nobody"'),
    });
    expect(ran).toBe(false);
  });

  it("goes on where a turn was cut off: agents that have answered are not called again", async () => {
    let calls = 0;
    let broken = true;
    const flaky: Execute = (input) => {
      if (broken) throw new Error("crash");
      return `b(${textOf(input)})`;
    };
    const { runtime, session } = await inSession({
      main: sequential(["a", "b"]),
      a: (input) => ({ message: `a${++calls}(${textOf(input)})`, usage: { inputTokens: 7 } }),
      b: flaky,
    });
    await using _ = runtime;
    await expect(runtime.callWithSession("main", "task", session.id, { turnKey: "k" })).rejects.toMatchObject({ code: "AGENT_FAILED" });
    broken = false;
    const reply = await runtime.callWithSession("main", "task", session.id, { turnKey: "k" });
    expect(reply.text).toBe("b(a1(task))");
    expect(reply.usage).toEqual({ inputTokens: 7 });
    expect(calls).toBe(1);
    const stored = (await session.messages()).map(({ role, parts }) => `${role} ${parts.map(({ type }) => type).join()}`);
    expect(stored).toEqual(["user text", "assistant data-stage", "assistant text"]);
    // A new turn is a new task.
    await runtime.callWithSession("main", "other", session.id);
    expect(calls).toBe(2);
  });

  it("may be called several times in one turn: each call asks for itself, and goes on for itself after a crash", async () => {
    const asked: string[] = [];
    let broken = true;
    const { runtime, session } = await inSession({
      main: async (input, context) => {
        const pair = sequential(["a", "b"]);
        const texts: string[] = [];
        for (const text of ["one", "two", "two"]) {
          const task = { ...input, parts: [{ type: "text", text }] } as const;
          const answer = (await pair(task, context)) as { readonly parts: readonly Part[] };
          texts.push(textOf(answer));
        }
        return texts.join(" ");
      },
      a: (input) => {
        asked.push(textOf(input));
        return `${textOf(input)}/${asked.length}`;
      },
      b: (input) => {
        if (broken && asked.length === 3) throw new Error("crash");
        return textOf(input);
      },
    });
    await using _ = runtime;
    await expect(runtime.callWithSession("main", "x", session.id, { turnKey: "k" })).rejects.toMatchObject({ code: "AGENT_FAILED" });
    broken = false;
    expect((await runtime.callWithSession("main", "x", session.id, { turnKey: "k" })).text).toBe("one/1 two/2 two/3");
    expect(asked).toEqual(["one", "two", "two"]);
    expect((await runtime.callWithSession("main", "x", session.id)).text).toBe("one/4 two/5 two/6");
  });

  it("asks again, after a crash, an agent that is asked something else now", async () => {
    let version = 0;
    const { runtime, session } = await inSession({
      main: sequential([{ agent: "a", input: () => `version ${(version += 1)}` }, "b"]),
      a: (input) => textOf(input),
      b: (input) => {
        if (version === 1) throw new Error("crash");
        return textOf(input);
      },
    });
    await using _ = runtime;
    await expect(runtime.callWithSession("main", "x", session.id, { turnKey: "k" })).rejects.toThrow();
    expect((await runtime.callWithSession("main", "x", session.id, { turnKey: "k" })).text).toBe("version 2");
  });

  it("stores the text of a stage once: a reply of 9 MB fits into a line of 16", async () => {
    const { runtime, session } = await inSession({
      main: sequential(["a", "b"]),
      a: () => "x".repeat(9_000_000),
      b: (input) => String(textOf(input).length),
    });
    await using _ = runtime;
    expect((await runtime.callWithSession("main", "x", session.id)).text).toBe("9000000");
  }, 30_000);

  it("lends the conversation only where asked, and its stages are never shown to a model", async () => {
    const model = createScriptedModel(["one", "two", "three", "four"]);
    const agent = createReActAgent({ name: "model", model });
    const { runtime, session } = await inSession({ main: sequential([{ agent: "model", history: true }, "model"]), model: agent.execute });
    await using _ = runtime;
    await runtime.callWithSession("main", "first", session.id);
    await runtime.callWithSession("main", "second", session.id);
    const prompts = model.calls.map(({ prompt }) => prompt.map(({ content }) => content[0].text));
    expect(prompts).toEqual([["first"], ["one"], ["first", "two", "second"], ["three"]]);
  });

  it.each([
    [[], "the stages must be a list"],
    ["a", "the stages must be a list"],
    [["a", ""], "stages[1].agent"],
    [[{ agent: "a", hstory: true }], "stages[0].hstory"],
    [[{}], "stages[0].agent is missing"],
    [[{ agent: "a", input: "x" }], "stages[0].input must be a function"],
  ])("refuses %j", (stages, words) => {
    expect(() => sequential(stages as never)).toThrowError(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(words) }),
    );
  });
});

describe("parallel", () => {
  it("asks all at once and gives their answers in their order", async () => {
    let running = 0;
    let most = 0;
    const slow =
      (ms: number, words: string): Execute =>
      async () => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve, ms));
        running -= 1;
        return words;
      };
    const { reply, shown } = await run(parallel(["a", "b", "c"]), { a: slow(30, "A"), b: slow(1, "B"), c: streaming("C") });
    expect(reply.text).toBe("## a\n\nA\n\n## b\n\nB\n\n## c\n\nC");
    expect(most).toBe(2);
    expect(shown).toEqual(["message"]);
  });

  it("lets combine make the answer, and sums the usage", async () => {
    const combine = (replies: readonly StageReply[]) => replies.map(({ agent, text }) => `${agent}=${text}`).join();
    const { reply } = await run(parallel(["a", "b", "a"], { combine }), { a: say("A"), b: say("B") });
    expect(reply.text).toBe("a=A(task),b=B(task),a=A(task)");
    expect(reply.usage).toEqual({ inputTokens: 3, outputTokens: 6 });
  });

  it("cancels the others as soon as one has failed, and names it", async () => {
    let aborted = false;
    const endless: Execute = (_input, { signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener("abort", () => ((aborted = true), reject(signal.reason as Error))));
    await expect(run(parallel(["endless", "b"]), { endless, b: fail() })).rejects.toMatchObject({
      code: "AGENT_FAILED",
      message: expect.stringContaining('agent "b": out of ink'),
    });
    expect(aborted).toBe(true);
  });

  it("is content with minReplies, and says who failed when there are fewer", async () => {
    const some = parallel(["a", "b", "c"], { minReplies: 1 });
    expect((await run(some, { a: fail(), b: say("B"), c: fail() })).reply.text).toBe("## b\n\nB(task)");
    const two = run(parallel(["a", "b", "c"], { minReplies: 2 }), { a: fail(), b: say("B"), c: fail() });
    await expect(two).rejects.toMatchObject({
      code: "AGENT_FAILED",
      message: expect.stringMatching(/of 3 agents answered, 2 are needed: .*agent "a": out of ink; .*agent "c"/),
    });
  });

  it("with a session asks only those again that have not answered", async () => {
    const calls: string[] = [];
    let broken = true;
    const { runtime, session } = await inSession({
      main: parallel(["a", "b"]),
      a: () => (calls.push("a"), "A"),
      b: async () => {
        calls.push("b");
        await new Promise((resolve) => setTimeout(resolve, 30));
        if (broken) throw new Error("crash");
        return "B";
      },
    });
    await using _ = runtime;
    await expect(runtime.callWithSession("main", "x", session.id, { turnKey: "k" })).rejects.toThrow();
    broken = false;
    expect((await runtime.callWithSession("main", "x", session.id, { turnKey: "k" })).text).toBe("## a\n\nA\n\n## b\n\nB");
    expect(calls).toEqual(["a", "b", "b"]);
  });

  it.each([
    [[], {}, "agents must be a list"],
    [["a"], { minReplies: 2 }, "minReplies (2) is more"],
    [["a"], { minReplies: 0 }, "minReplies"],
    [["a"], { combine: "join" }, "combine must be a function"],
    [["a"], { max: 1 }, "unknown option max"],
  ])("refuses %j %j", (agents, options, words) => {
    expect(() => parallel(agents, options as never)).toThrowError(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(words) }),
    );
  });
});

const labels = { refund: "wants money back", other: "everything else" };
function classifier(model: ScriptedModel): Execute {
  return createClassifierAgent({ name: "sorter", model, labels }).execute;
}
const label = (name: string) => JSON.stringify({ label: name, confidence: 1, reason: "r" });

describe("router", () => {
  const routes = { refund: "cashier", other: "assistant" };

  it("goes where the classifier says, shows that agent's deltas, and names the route", async () => {
    const main = router({ routes, classifier: "sorter" });
    const { reply, shown } = await run(main, {
      sorter: classifier(createScriptedModel([label("refund")])),
      cashier: streaming("Paid."),
      assistant: say("no"),
    });
    expect(reply.text).toBe("Paid.");
    expect(shown.join("")).toBe("Paid.message");
    expect(reply.message.metadata).toEqual({ route: "refund" });
  });

  it("goes where choose says, to the fallback for what is no route, and fails without one", async () => {
    const agents = { cashier: say("c"), assistant: say("a") };
    expect((await run(router({ routes, choose: (input) => textOf(input) }), agents, "refund")).reply.text).toBe("c(refund)");
    expect((await run(router({ routes, choose: async () => "constructor", fallback: "other" }), agents)).reply.text).toBe("a(task)");
    await expect(run(router({ routes, choose: () => "nowhere" }), agents)).rejects.toMatchObject({
      code: "AGENT_FAILED",
      message: 'router "main": "nowhere" is none of the routes refund, other, and there is no fallback',
    });
  });

  it("blames its classifier for an answer that is no classification", async () => {
    const { runtime } = await inSession({
      main: router({ routes: { x: "a" }, classifier: "sorter" }),
      sorter: () => "x, surely",
      a: () => "A",
    });
    await using _ = runtime;
    await expect(runtime.call("main", "q")).rejects.toMatchObject({
      code: "AGENT_FAILED",
      message: expect.stringMatching(/router "main": the answer of its classifier "sorter" is no classification: .*not JSON/) as string,
    });
  });

  it("with a session goes the same way again after a crash", async () => {
    const model = createScriptedModel([label("refund"), label("other")]);
    let broken = true;
    const cashier: Execute = () => {
      if (broken) throw new Error("crash");
      return "Paid.";
    };
    const { runtime, session } = await inSession({
      main: router({ routes, classifier: "sorter" }),
      sorter: classifier(model),
      cashier,
      assistant: say("a"),
    });
    await using _ = runtime;
    await expect(runtime.callWithSession("main", "x", session.id, { turnKey: "k" })).rejects.toThrow();
    broken = false;
    expect((await runtime.callWithSession("main", "x", session.id, { turnKey: "k" })).text).toBe("Paid.");
    expect(model.calls).toHaveLength(1);
  });

  it.each([
    [{ routes }, "give either classifier or choose"],
    [{ routes, classifier: "x", choose: () => "y" }, "give either classifier or choose"],
    [{ routes: {}, classifier: "x" }, "routes must name at least one"],
    [{ routes: { a: 5 }, classifier: "x" }, "routes.a must be an agent's name"],
    [{ routes, classifier: "x", fallback: "nowhere" }, "fallback must be one of the routes: refund, other"],
    [{ classifier: "x" }, "routes is missing"],
  ])("refuses %j", (options, words) => {
    expect(() => router(options as never)).toThrowError(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(words) }),
    );
  });
});

describe("reflection", () => {
  const counted = (replies: readonly string[]): { asked: string[]; execute: Execute } => {
    const asked: string[] = [];
    return {
      asked,
      execute: (input) => (asked.push(textOf(input)), { message: replies[asked.length - 1] ?? "more", usage: { inputTokens: 1 } }),
    };
  };

  it("writes again until the critic approves", async () => {
    const author = counted(["draft one", "draft two"]);
    const critic = counted(["Too short.", "Approved. Well done."]);
    const { reply } = await run(reflection({ author: "author", critic: "critic" }), { author: author.execute, critic: critic.execute });
    expect(reply.text).toBe("draft two");
    expect(reply.message.metadata).toEqual({ drafts: 2, accepted: true });
    expect(reply.usage).toEqual({ inputTokens: 4 });
    expect(author.asked[0]).toBe("task");
    expect(author.asked[1]).toMatch(/task[\s\S]*draft one[\s\S]*Too short\./);
    expect(critic.asked[1]).toMatch(/task[\s\S]*draft two[\s\S]*APPROVED/);
  });

  it("ends after maxDrafts: with the last draft, or with an error that names both", async () => {
    const agents = () => ({ author: counted(["1", "2", "3"]).execute, critic: counted(["No, not APPROVED.", "no", "no"]).execute });
    const { reply } = await run(reflection({ author: "author", critic: "critic", maxDrafts: 2 }), agents());
    expect([reply.text, reply.message.metadata]).toEqual(["2", { drafts: 2, accepted: false }]);
    const failed = run(reflection({ author: "author", critic: "critic", maxDrafts: 1, atLimit: "fail" }), agents());
    await expect(failed).rejects.toMatchObject({
      code: "LIMIT_EXCEEDED",
      message: expect.stringMatching(/"critic" accepted none of the 1 drafts of "author"/),
    });
  });

  it("takes its own words and its own judgement", async () => {
    const author = counted(["x", "xx"]);
    const critic = counted(["3", "9"]);
    const main = reflection({
      author: "author",
      critic: "critic",
      accept: async ({ text }) => Number(text) > 5,
      askCritic: (draft) => `rate ${draft.text}`,
      askAuthor: (draft, critique) => `${draft.text} got ${critique.text}`,
    });
    expect((await run(main, { author: author.execute, critic: critic.execute })).reply.text).toBe("xx");
    expect([author.asked, critic.asked]).toEqual([
      ["task", "x got 3"],
      ["rate x", "rate xx"],
    ]);
  });

  it("says true or false of a judgement that is neither", async () => {
    const accept = (): boolean => "fine" as unknown as boolean;
    const { runtime } = await inSession({ main: reflection({ author: "a", critic: "a", accept }), a: () => "A" });
    await using _ = runtime;
    expect((await runtime.call("main", "q")).message.metadata).toEqual({ drafts: 1, accepted: true });
  });

  it("with a session goes on with the draft that was stored", async () => {
    const author = counted(["one", "two"]);
    let broken = true;
    const critic: Execute = () => {
      if (broken) throw new Error("crash");
      return "APPROVED";
    };
    const { runtime, session } = await inSession({
      main: reflection({ author: "author", critic: "critic" }),
      author: author.execute,
      critic,
    });
    await using _ = runtime;
    await expect(runtime.callWithSession("main", "x", session.id, { turnKey: "k" })).rejects.toThrow('stage critique 1, agent "critic"');
    broken = false;
    expect((await runtime.callWithSession("main", "x", session.id, { turnKey: "k" })).text).toBe("one");
    expect(author.asked).toHaveLength(1);
  });

  it.each([
    [{ author: "a" }, "critic is missing"],
    [{ author: "a", critic: "c", maxDrafts: Infinity }, "maxDrafts"],
    [{ author: "a", critic: "c", atLimit: "retry" }, "atLimit must be one of answer, fail"],
  ])("refuses %j", (options, words) => {
    expect(() => reflection(options as never)).toThrowError(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(words) }),
    );
  });
});

describe("every composition", () => {
  const endless: Execute = (_input, { signal }) =>
    new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
  it.each([
    ["sequential", sequential(["endless"])],
    ["parallel", parallel(["endless", "endless"], { minReplies: 1 })],
    ["router", router({ routes: { r: "endless" }, choose: () => "r" })],
    ["reflection", reflection({ author: "endless", critic: "endless" })],
  ])("%s is cancelled with its caller", async (_what, main) => {
    await using runtime = await started({ main, endless });
    const stop = new AbortController();
    const failed = runtime.call("main", userMessage("x"), { signal: stop.signal }).catch((error: unknown) => error);
    setTimeout(() => stop.abort(), 5);
    expect(isAixgoError(await failed, "CANCELLED")).toBe(true);
  });

  it("composes: a sequence of a router and a reflection", async () => {
    const { reply } = await run(sequential(["route", "reflect"]), {
      route: router({ routes: { r: "writer" }, choose: () => "r" }),
      reflect: reflection({ author: "writer", critic: "critic" }),
      writer: say("w"),
      critic: () => "APPROVED",
    });
    expect(reply.text).toBe("w(w(task))");
  });
});
