import { isAixgoError, type Json, type Message, type MessageInput, type OpenTurn } from "@aixgo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createSessionManager, type Entry, type Session, type SessionManager, type TurnData } from "../src/index.ts";
import { withoutRenewal } from "./turns.ts";
import { twoNodes } from "./two-nodes.ts";

/** Of what dies. Whatever lives has the usual lease, however slow the machine. */
const LEASE_MS = 60;
const RUNS = process.env["AIXGO_LONG"] === undefined ? 40 : 1500;

/** What somebody does with a session, on one of two nodes. */
type Act =
  | { readonly do: "call"; readonly asks: number; readonly decline: boolean; readonly fails: boolean }
  | { readonly do: "resume"; readonly pick: number; readonly value: number; readonly fails: boolean }
  | { readonly do: "again"; readonly pick: number }
  | { readonly do: "cancel" | "append" | "checkpoint" | "die" }
  | { readonly do: "restore"; readonly pick: number };
type Step = { readonly node: 0 | 1; readonly act: Act };

const pick = fc.nat({ max: 1000 });
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant("call" as const), asks: fc.nat({ max: 3 }), decline: fc.boolean(), fails: fc.boolean() }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("resume" as const), pick, value: pick, fails: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("again" as const), pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("cancel" as const, "append" as const, "checkpoint" as const, "die" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("restore" as const), pick }) },
);
const step: fc.Arbitrary<Step> = fc.record({ node: fc.constantFrom(0 as const, 1 as const), act });
/** Steps of one group are taken at once. */
const story = fc.array(fc.array(step, { minLength: 1, maxLength: 3 }), { minLength: 3, maxLength: 12 });

/** What may be said to somebody who comes at the wrong time; anything else is a fault. */
const EXPECTED = new Set(["TURN_SUSPENDED", "ENTRY_NOT_FOUND", "TURN_ENDED", "SESSION_BUSY", "FENCED", "CANCELLED", "BROKEN"]);

class World {
  readonly nodes: readonly [SessionManager, SessionManager];
  /** The node that dies. */
  readonly #mortal: SessionManager;
  readonly #sessions: readonly [Session, Session];
  /** Bodies at work, and the most that ever were. */
  #active = 0;
  mostActive = 0;
  #calls = 0;
  /** Requests that were made, by turn: several turns may not share them. */
  readonly asked: string[] = [];
  readonly inputs: { readonly key: string; readonly text: string }[] = [];
  /** Answers that bodies were given. */
  readonly heard = new Map<string, Set<string>>();
  readonly faults: unknown[] = [];

  private constructor(nodes: World["nodes"], mortal: SessionManager, sessions: readonly [Session, Session]) {
    this.nodes = nodes;
    this.#mortal = mortal;
    this.#sessions = sessions;
  }

  static async create(): Promise<World> {
    const { a, b, backend } = twoNodes();
    const s = await a.create("x");
    return new World([a, b], createSessionManager({ backend: withoutRenewal(backend), leaseMs: LEASE_MS }), [s, await b.get(s.id)]);
  }

  get session(): Session {
    return this.#sessions[0];
  }

  async take({ node, act: what }: Step): Promise<void> {
    const session = this.#sessions[node];
    try {
      await this.#take(session, node, what);
    } catch (error) {
      const code = isAixgoError(error) ? error.code : (error as Error).message;
      if (!EXPECTED.has(code)) this.faults.push(error);
    }
  }

  async #take(session: Session, node: 0 | 1, what: Act): Promise<void> {
    switch (what.do) {
      case "call": {
        const key = `k${(this.#calls += 1)}`;
        const text = `ask ${what.asks}`;
        this.inputs.push({ key, text });
        await session.turn(text, this.#body(what.asks, what.fails), { turnKey: key, ifSuspended: what.decline ? "decline" : "reject" });
        return;
      }
      case "again": {
        const input = this.inputs[what.pick % Math.max(1, this.inputs.length)];
        if (input !== undefined) await session.turn(input.text, this.#body(Number(input.text.slice(4)), false), { turnKey: input.key });
        return;
      }
      case "resume": {
        const requestId = this.asked[what.pick % Math.max(1, this.asked.length)];
        if (requestId !== undefined) await session.resume(requestId, what.value, this.#body(undefined, what.fails));
        return;
      }
      case "restore": {
        const entries = await entriesOf(session);
        await session.restore((entries[what.pick % entries.length] as Entry).id);
        return;
      }
      case "die": {
        const turn = await this.#mortal.openTurn(session.id, { agent: "x", input: "ask 0", options: { ifBusy: "reject" } });
        await turn.append({ role: "assistant", parts: [{ type: "tool-call", toolCallId: "dead", toolName: "t", input: {} }] });
        await new Promise((resolve) => setTimeout(resolve, LEASE_MS + 20));
        // The process is gone; this only lets its node go on.
        await turn.fail(new Error("gone"));
        return;
      }
      case "cancel":
        await this.nodes[node].cancelTurn(session.id);
        return;
      case "append":
        await session.append("note");
        return;
      case "checkpoint":
        await session.checkpoint();
    }
  }

  #body(asks: number | undefined, fails: boolean): (turn: OpenTurn) => Promise<MessageInput> {
    return async (turn) => {
      this.#active += 1;
      this.mostActive = Math.max(this.mostActive, this.#active);
      try {
        const text = (turn.input.parts[0] as { readonly text: string }).text;
        const ids = Array.from({ length: asks ?? Number(text.slice(4)) }, (_, index) => `${turn.id}/${index}`);
        if (ids.length > 0 && (await turn.steps()).length === 0)
          await turn.append({
            role: "assistant",
            parts: ids.map((toolCallId) => ({ type: "tool-call", toolCallId, toolName: "t", input: {} })),
          });
        for (const id of ids) if (!this.asked.includes(id)) this.asked.push(id);
        const answers = await Promise.allSettled(ids.map((requestId) => turn.suspend({ requestId, reason: "?" })));
        const open = answers.find((answer) => answer.status === "rejected");
        if (open !== undefined) throw open.reason;
        for (const [index, id] of ids.entries()) {
          const value = JSON.stringify((answers[index] as PromiseFulfilledResult<Json>).value);
          this.heard.set(id, (this.heard.get(id) ?? new Set()).add(value));
          await turn.append({
            role: "tool",
            parts: [{ type: "tool-result", toolCallId: id, toolName: "t", output: { type: "text", value } }],
          });
        }
        if (fails) throw new Error("BROKEN");
        return "answer";
      } finally {
        this.#active -= 1;
      }
    };
  }
}

async function entriesOf(session: Session): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const entry of session.entries()) entries.push(entry);
  return entries;
}

/** Each call has exactly one result before the next thing the assistant says, and no result lacks its call. */
function assertWellFormed(messages: readonly Message[]): void {
  let open = new Set<string>();
  let seen = new Set<string>();
  for (const { role, parts } of messages) {
    if (role === "assistant") {
      expect([...open]).toEqual([]);
      open = new Set();
      seen = new Set();
      for (const part of parts) if (part.type === "tool-call") seen.add(part.toolCallId);
      open = new Set(seen);
    }
    for (const part of parts) if (part.type === "tool-result") expect(open.delete(part.toolCallId)).toBe(true);
  }
  expect([...open]).toEqual([]);
}

/** Of the whole log, all branches: who was open when, and what was decided. */
function assertTurns(entries: readonly Entry[], heard: World["heard"]): void {
  let running: { readonly turn: number; readonly fence: number } | undefined;
  const decisions = new Map<string, string[]>();
  for (const { type, data, turn, fence, seq } of entries) {
    if (running !== undefined && turn !== undefined)
      expect({ seq, turn, isNext: fence === running.fence || type !== "message" }).toEqual({ seq, turn: running.turn, isNext: true });
    if (type !== "turn") continue;
    const { phase, requestId, decision } = data as unknown as TurnData;
    if (phase === "start") {
      expect(running).toBeUndefined();
      running = { turn: turn as number, fence: fence as number };
    } else if (phase === "end" || phase === "suspend") running = undefined;
    else if (phase === "decide")
      decisions.set(requestId as string, [...(decisions.get(requestId as string) ?? []), JSON.stringify(decision)]);
  }
  for (const [requestId, values] of decisions) {
    // Counted once, unless a restore took the turn back to where the question was open and the turn asked anew.
    expect(new Set([...(heard.get(requestId) ?? [])].filter((value) => !values.includes(value)))).toEqual(new Set());
  }
  for (const requestId of heard.keys()) expect(decisions.has(requestId)).toBe(true);
}

describe("any story of calls, questions, answers, cancels, restores and deaths, on two nodes at once", () => {
  it("runs one turn at a time, keeps every history well-formed, and counts each answer once", async () => {
    let suspensions = 0;
    let answers = 0;
    let replays = 0;
    await fc.assert(
      fc.asyncProperty(story, async (groups) => {
        const world = await World.create();
        const { session } = world;
        let restored = false;
        for (const group of groups) {
          await Promise.all(group.map((each) => world.take(each)));
          restored ||= group.some(({ act: what }) => what.do === "restore");
          const entries = await entriesOf(session);
          assertTurns(entries, world.heard);
          assertWellFormed(await session.messages());
          if (restored) continue;
          const decided = entries.flatMap(({ data, type }) =>
            type === "turn" && (data as unknown as TurnData).phase === "decide" ? [(data as unknown as TurnData).requestId] : [],
          );
          expect(new Set(decided).size).toBe(decided.length);
          for (const values of world.heard.values()) expect(values.size).toBe(1);
        }
        expect((await session.verify()).problems).toEqual([]);
        expect(world.faults).toEqual([]);
        expect(world.mostActive).toBeLessThanOrEqual(1);
        const entries = await entriesOf(session);
        suspensions += entries.filter(({ type, data }) => type === "turn" && (data as unknown as TurnData).phase === "suspend").length;
        answers += entries.filter(({ type, data }) => type === "turn" && (data as unknown as TurnData).phase === "decide").length;
        replays += world.heard.size;
        // Whatever happened, the next message gets its answer.
        const last = await session.turn("ask 0", async () => "fine", { ifSuspended: "decline" });
        expect(last.text).toBe("fine");
        assertWellFormed(await session.messages());
        await Promise.all(world.nodes.map((node) => node.close()));
      }),
      { numRuns: RUNS },
    );
    // The stories are about what they claim to be about.
    expect(suspensions).toBeGreaterThan(RUNS / 2);
    expect(answers).toBeGreaterThan(RUNS / 4);
    expect(replays).toBeGreaterThan(0);
  }, 600_000);
});
