import { AsyncLocalStorage } from "node:async_hooks";
import { describe, expect, it } from "vitest";
import {
  type ActiveSpan,
  AixgoError,
  createRuntime,
  type Execute,
  type Json,
  METRIC,
  type Metrics,
  type OpenTurn,
  type OpenTurnRequest,
  type Operation,
  type Runtime,
  type RuntimeOptions,
  type SessionHost,
  SPAN,
  type Tracing,
} from "../src/index.ts";
import { errorOf, observedHost, settle } from "./support.ts";

interface Recorded {
  readonly name: string;
  readonly parent: string | undefined;
  readonly attributes: Record<string, Json>;
  readonly content: string[];
  outcome?: string;
}

/** A tracer that keeps what it is told; content only if it is asked to. */
function recorder(capture = false): Tracing & { readonly spans: Recorded[] } {
  const spans: Recorded[] = [];
  const current = new AsyncLocalStorage<string>();
  return {
    spans,
    async span(name, attributes, body) {
      const recorded: Recorded = { name, parent: current.getStore(), attributes: { ...attributes }, content: [] };
      spans.push(recorded);
      const span: ActiveSpan = {
        set: (more) => void Object.assign(recorded.attributes, more),
        content: (kind, read) => void (capture && recorded.content.push(`${kind} ${JSON.stringify(read())}`)),
      };
      try {
        const result = await current.run(name, () => body(span));
        recorded.outcome = "ok";
        return result;
      } catch (error) {
        recorded.outcome = (error as { code?: string }).code ?? "foreign";
        throw error;
      }
    },
  };
}

function counted(): Metrics & { readonly lines: string[] } {
  const lines: string[] = [];
  const line = (name: string, value: string, labels: Record<string, string>): void =>
    void (name.startsWith("aixgo.call") || lines.push([name, value, ...Object.values(labels)].join(" ")));
  return {
    lines,
    count: (name, by, labels) => line(name, `+${by}`, labels),
    observe(name, value, labels) {
      expect(value).toBeGreaterThanOrEqual(0);
      line(name, name === METRIC.modelTokens ? String(value) : "…", labels);
    },
  };
}

async function runtimeOf(options: RuntimeOptions, execute: Execute): Promise<Runtime> {
  const runtime = createRuntime(options)
    .register("worker", execute)
    .register("leaf", () => "leaf");
  await runtime.start();
  return runtime;
}

const MODEL: Operation = { type: "model", provider: "acme", model: "m-1" };
const TOOL: Operation = { type: "tool", tool: "search", toolCallId: "c1" };

describe("context.observe", () => {
  it.each<[string, RuntimeOptions, boolean]>([
    ["neither metrics nor tracing", {}, false],
    ["metrics", { metrics: counted() }, true],
    ["tracing", { tracing: recorder() }, true],
  ])("with %s: there is one only if somebody looks", async (_name, options, there) => {
    const runtime = await runtimeOf(options, (_input, context) => `${"observe" in context} ${typeof context.observe}`);
    expect((await runtime.call("worker", "x")).text).toBe(there ? "true function" : "false undefined");
  });

  it("puts a request to a model and a run of a tool into traces and metrics, with what is known at their end", async () => {
    const tracing = recorder();
    const metrics = counted();
    const runtime = await runtimeOf({ tracing, metrics, sessions: observedHost() }, async (_input, { observe, call }) => {
      await observe?.(MODEL, async (running) => running.note({ usage: { inputTokens: 7, outputTokens: 2 }, finishReason: "tool-calls" }));
      const text = await observe?.(TOOL, async () => (await call("leaf", "x")).text);
      return text ?? "";
    });
    expect((await runtime.callWithSession("worker", "x", "s1")).text).toBe("leaf");
    expect(tracing.spans.filter(({ name }) => name !== SPAN.turn)).toEqual([
      {
        name: SPAN.call,
        parent: undefined,
        attributes: { agent: "worker", kind: "session", session: "s1", turn: expect.any(String) as string, replayed: false },
        content: [],
        outcome: "ok",
      },
      {
        name: SPAN.model,
        parent: SPAN.call,
        attributes: {
          agent: "worker",
          session: "s1",
          provider: "acme",
          model: "m-1",
          inputTokens: 7,
          outputTokens: 2,
          finishReason: "tool-calls",
        },
        content: [],
        outcome: "ok",
      },
      {
        name: SPAN.tool,
        parent: SPAN.call,
        attributes: { agent: "worker", session: "s1", tool: "search", toolCallId: "c1" },
        content: [],
        outcome: "ok",
      },
      { name: SPAN.call, parent: SPAN.tool, attributes: { agent: "leaf", kind: "nested" }, content: [], outcome: "ok" },
    ]);
    expect(metrics.lines.filter((line) => !line.startsWith(METRIC.turnDurationMs))).toEqual([
      "aixgo.model.count +1 worker acme m-1 ok",
      "aixgo.model.duration_ms … worker acme m-1 ok",
      "aixgo.model.tokens 7 worker acme m-1 input",
      "aixgo.model.tokens 2 worker acme m-1 output",
      "aixgo.tool.count +1 worker search ok",
      "aixgo.tool.duration_ms … worker search ok",
    ]);
  });

  it("what fails passes through, and is counted by its code; a failure without an error by what was noted", async () => {
    const tracing = recorder();
    const metrics = counted();
    const thrown = new Error("boom");
    const runtime = await runtimeOf({ tracing, metrics }, async (_input, { observe }) => {
      const failures = await Promise.allSettled([
        observe?.(TOOL, () => Promise.reject(thrown)),
        observe?.(TOOL, () => Promise.reject(new AixgoError("TIMEOUT", "late"))),
        observe?.(TOOL, async (running) => running.note({ outcome: "INVALID_INPUT" })),
      ]);
      expect(failures.map((each) => (each.status === "rejected" ? (each.reason as Error).message : "ok"))).toEqual(["boom", "late", "ok"]);
      return "x";
    });
    await runtime.call("worker", "x");
    expect(metrics.lines.filter((line) => line.startsWith(METRIC.toolCount))).toEqual([
      "aixgo.tool.count +1 worker search ERROR",
      "aixgo.tool.count +1 worker search TIMEOUT",
      "aixgo.tool.count +1 worker search INVALID_INPUT",
    ]);
    const tools = tracing.spans.filter(({ name }) => name === SPAN.tool);
    expect(tools.map(({ outcome, attributes }) => `${outcome} ${attributes["outcome"] as string}`)).toEqual([
      "foreign undefined",
      "TIMEOUT undefined",
      "ok INVALID_INPUT",
    ]);
  });

  it("content is read only by a tracer that wants it", async () => {
    let reads = 0;
    const execute: Execute = async (_input, { observe }) => {
      await observe?.(TOOL, async (running) => running.content("input", () => (reads += 1)));
      return "the answer";
    };
    const silent = recorder();
    await (await runtimeOf({ tracing: silent }, execute)).call("worker", "the question");
    expect(reads).toBe(0);
    expect(JSON.stringify(silent.spans)).not.toMatch(/answer|question/);
    const curious = recorder(true);
    await (await runtimeOf({ tracing: curious }, execute)).call("worker", "the question");
    expect(reads).toBe(1);
    expect(curious.spans[0]?.content.map((each) => each.slice(0, 6))).toEqual(["input ", "output"]);
    expect(curious.spans[0]?.content.join()).toMatch(/the question.*the answer/);
  });

  it.each<[string, unknown]>([
    [
      "throws",
      () => {
        throw new Error("down");
      },
    ],
    [
      "gives a span that throws",
      (async (_name: string, _attributes: object, body: (span: unknown) => Promise<unknown>) =>
        body({
          set() {
            throw new Error("down");
          },
          content() {
            throw new Error("down");
          },
        })) as never,
    ],
    [
      "gives a span that is none",
      (async (_name: string, _attributes: object, body: (span: unknown) => Promise<unknown>) => body({})) as never,
    ],
    ["calls the body twice", (async (_name: string, _attributes: object, body: () => Promise<unknown>) => (await body(), body())) as never],
  ])("a tracer that %s changes nothing: the body runs once", async (_name, span) => {
    let runs = 0;
    const runtime = await runtimeOf({ tracing: { span: span as Tracing["span"] } }, async (_input, { observe }) => {
      const value = await observe?.(MODEL, async (running) => {
        running.content("input", () => "x");
        running.note({ usage: { inputTokens: 1 } });
        return `run ${(runs += 1)}`;
      });
      return value ?? "";
    });
    expect((await runtime.call("worker", "x")).text).toBe("run 1");
    await settle();
    expect(runs).toBe(1);
  });

  it.each<[string, unknown, string]>([
    ["nothing", undefined, '"type" must be "model" or "tool"'],
    ["another type", { type: "thought" }, '"type" must be "model" or "tool"'],
    ["a tool without a name", { type: "tool", toolCallId: "c" }, '"tool" must be a string'],
    ["a model whose provider is no text", { type: "model", model: "m", provider: 1 }, '"provider" must be a string'],
  ])("refuses %s by name, and does not run it", async (_name, operation, problem) => {
    let ran = false;
    const runtime = await runtimeOf({ metrics: counted() }, async (_input, { observe }) => {
      await observe?.(operation as Operation, async () => (ran = true));
      return "x";
    });
    const error = await errorOf(runtime.call("worker", "x"));
    expect(error.code).toBe("INVALID_INPUT");
    expect(error.message).toContain(problem);
    expect(ran).toBe(false);
  });
});

describe("turns", () => {
  it("show what they ask of the store: its time by step and outcome, each under its call", async () => {
    const tracing = recorder();
    const metrics = counted();
    const host = observedHost();
    const runtime = await runtimeOf({ tracing, metrics, sessions: host }, async function* (input, context) {
      await context.history();
      await context.setState(1);
      yield { type: "message", message: "a step" };
      if (JSON.stringify(input).includes("bad")) throw new Error("boom");
      return "x";
    });
    await runtime.callWithSession("worker", "good", "s1");
    await errorOf(runtime.callWithSession("worker", "bad", "s1"));
    const turns = tracing.spans.filter(({ name }) => name === SPAN.turn);
    expect(turns.map(({ attributes, parent }) => `${attributes["step"] as string} ${parent}`)).toEqual(
      ["open", "history", "state", "append", "complete", "open", "history", "state", "append", "fail"].map(
        (step) => `${step} ${SPAN.call}`,
      ),
    );
    expect(turns[0]?.attributes).toEqual({
      agent: "worker",
      session: "s1",
      step: "open",
      turn: expect.any(String) as string,
      attempt: 1,
      replayed: false,
    });
    expect(metrics.lines.filter((line) => line.startsWith(METRIC.turnDurationMs)).slice(0, 5)).toEqual(
      ["open", "history", "state", "append", "complete"].map((step) => `aixgo.turn.duration_ms … worker ${step} ok`),
    );
  });

  it("that cannot be opened are counted by their code", async () => {
    const metrics = counted();
    const host: SessionHost = {
      ...observedHost(),
      openTurn: () => Promise.reject(new AixgoError("SESSION_NOT_FOUND", "there is no session s9")),
    };
    const runtime = await runtimeOf({ metrics, sessions: host }, () => "x");
    expect((await errorOf(runtime.callWithSession("worker", "x", "s9"))).code).toBe("SESSION_NOT_FOUND");
    expect(metrics.lines).toEqual(["aixgo.turn.duration_ms … worker open SESSION_NOT_FOUND"]);
  });

  it("of a host that keeps private members work as without observers", async () => {
    const inner = observedHost();
    /** Each method of its own, which fails on any other object than one of this class. */
    const privately = <T extends object>(whole: T): T => {
      class Private {
        readonly #whole = whole;
        get(name: keyof T): unknown {
          const member = this.#whole[name];
          return typeof member === "function" ? (member.bind(this.#whole) as unknown) : member;
        }
      }
      for (const name of Object.keys(whole)) {
        const get = function (this: Private): unknown {
          const value = this.get(name as keyof T);
          return typeof value !== "function"
            ? value
            : (...given: unknown[]) => (this.get(name as keyof T), (value as (...given: unknown[]) => unknown)(...given));
        };
        Object.defineProperty(Private.prototype, name, { get, enumerable: true });
      }
      return new Private() as unknown as T;
    };
    const host = privately<SessionHost>({
      ...inner,
      openTurn: async (id: string, request: OpenTurnRequest) => privately<OpenTurn>(await inner.openTurn(id, request)),
    });
    expect(() => Object.create(host).sharedBy).toThrow(TypeError);
    const runtime = await runtimeOf({ tracing: recorder(), sessions: host }, async (_input, context) => {
      await context.setState({ seen: 1 });
      return JSON.stringify(await context.getState());
    });
    expect((await runtime.callWithSession("worker", "x", "s1")).text).toBe('{"seen":1}');
    expect(await runtime.cancelTurn("s1")).toBe(false);
  });
});
