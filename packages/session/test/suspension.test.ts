import type { Json, MessageInput, OpenTurn } from "@aixgo/core";
import { describe, expect, it } from "vitest";
import type { Head } from "../src/backend.ts";
import type { Entry, Session, TurnData } from "../src/index.ts";
import type { SessionLog } from "../src/log.ts";
import { decideDraft, decisionsOf, lastWords, named, opOf, type Suspension, suspensionAt } from "../src/suspension.ts";
import { all, start, texts, withCode } from "./turns.ts";

const never = (): Promise<MessageInput> => Promise.reject(new Error("must not run"));
const asksFor =
  (requestId: string) =>
  async (turn: OpenTurn): Promise<MessageInput> =>
    `decided: ${JSON.stringify(await turn.suspend({ requestId, reason: "?" }))}`;
const entriesOf = (session: Session): Promise<Entry[]> => all(session.entries());
const keyless = { attempt: 2 };
const keyed = { key: "k", inputDigest: "d", attempt: 2 };
const waiting = (requestIds: readonly string[], data: Partial<TurnData> = keyless): Suspension => ({
  entry: {} as Entry,
  data: { phase: "suspend", ...keyless, ...data } as TurnData,
  turnSeq: 4,
  turnId: "turn",
  requests: requestIds.map((requestId) => ({ requestId, reason: "?" })),
});

describe("the answers that a turn was given", () => {
  const entry = (seq: number, data: Json, turn: number | undefined = 4, type = "turn"): Entry =>
    ({ seq, type, data, ...(turn === undefined ? undefined : { turn }) }) as Entry;
  const decide = (requestId: string, decision: Json): Json => ({ phase: "decide", requestId, decision, ...keyless });
  /** A path, and how far it is walked, the newest first; the walk begins anew once, as it may. */
  async function decisionsIn(path: readonly Entry[]): Promise<[decisions: [string, Json][], visited: number[]]> {
    let visited: number[] = [];
    const log = {
      async walk(_: Head, __: number, begin: () => (entry: Entry) => boolean | void) {
        for (let round = 0; round < 2; round += 1) {
          visited = [];
          const visit = begin();
          for (const each of path.slice(0, round === 0 ? 2 : path.length)) if (visited.push(each.seq) && visit(each) === false) break;
        }
      },
    } as unknown as SessionLog;
    return [[...(await decisionsOf(log, { headSeq: 9 } as Head, 4))], visited];
  }

  it("are read from the end of its path to its start, and the newest stands", async () => {
    const path = [
      entry(9, decide("a", "newest")),
      entry(8, decide("b", null)),
      entry(7, decide("a", "older")),
      entry(4, { phase: "start", ...keyless }),
      entry(3, decide("c", "before it began")),
    ];
    expect(await decisionsIn(path)).toEqual([
      [
        ["a", "newest"],
        ["b", null],
      ],
      [9, 8, 7, 4],
    ]);
  });

  it("are not those of other turns, and not what only looks like one", async () => {
    const path = [
      entry(9, decide("a", 1), 2),
      entry(8, decide("b", 2), 4, "state"),
      entry(7, decide("c", 3), undefined, "message"),
      entry(6, { phase: "later", requestId: "d", decision: 4 }),
      entry(5, { phase: "decide", ...keyless }),
    ];
    expect(await decisionsIn(path)).toEqual([[], [9, 8, 7, 6, 5]]);
    expect(await decisionsIn([entry(8, null, 4, "state"), entry(7, { phase: "decide", requestId: "e" })])).toEqual([[["e", null]], [8, 7]]);
  });

  it("of one turn are none of another on the same path that began earlier and goes on later", async () => {
    const { s } = await start();
    await expect(s.turn("first", async () => Promise.reject(new Error("breaks")), { turnKey: "k" })).rejects.toThrow("breaks");
    await s.turn("second", asksFor("of the second"));
    await s.resume("of the second", "yes", asksFor("of the second"));
    const again = await s.turn("first", asksFor("of the first"), { turnKey: "k" });
    expect(again.turn).toMatchObject({ status: "suspended", requests: [{ requestId: "of the first" }] });
    expect((await s.resume("of the first", "no", asksFor("of the first"))).text).toBe('decided: "no"');
  });
});

describe("the entry that answers a request", () => {
  const answer = { requestId: "b", op: "r:b", decision: { ok: true } };

  it("says what the turn still waits for, and keeps its key", () => {
    const draft = decideDraft(waiting(["a", "b", "c"], keyed), answer, 7);
    expect(draft).toMatchObject({ type: "turn", op: "r:b", turn: 4, fence: 7, waitsFor: ["a", "c"] });
    expect(JSON.parse(draft.data as string)).toEqual({
      phase: "decide",
      ...keyed,
      requestId: "b",
      decision: { ok: true },
      requests: [
        { requestId: "a", reason: "?" },
        { requestId: "c", reason: "?" },
      ],
    });
  });

  it("is the last one if nothing is left to wait for", () => {
    const draft = decideDraft(waiting(["b"]), answer, 7);
    expect(draft).not.toHaveProperty("waitsFor");
    expect(JSON.parse(draft.data as string)).toEqual({ phase: "decide", ...keyless, requestId: "b", decision: { ok: true }, requests: [] });
  });
});

describe("a suspended turn that is ended without an answer", () => {
  it.each([
    ["with a key", "k"],
    ["without one", undefined],
  ])("%s leaves the end of that very turn, and no result where no call is open", async (_, turnKey) => {
    const { s, a, id } = await start();
    const options = turnKey === undefined ? {} : { turnKey };
    await s.turn("q", asksFor("r"), options);
    const before = await entriesOf(s);
    const turn = before.find(({ type }) => type === "turn") as Entry;
    const suspend = before.at(-1) as Entry;
    expect(await a.cancelTurn(id)).toBe(true);
    const [withdraw, end, ...more] = (await entriesOf(s)).slice(before.length) as [Entry, Entry, ...Entry[]];
    expect(more).toEqual([]);
    expect(withdraw).toMatchObject({ type: "turn", turn: turn.seq, data: { phase: "withdraw", requestId: "r" } });
    expect(end).toMatchObject({ type: "turn", turn: turn.seq, fence: turn.fence, op: suspend.op });
    expect(end.data).toEqual({
      ...(turn.data as object),
      phase: "end",
      status: "cancelled",
      error: expect.objectContaining({ code: "CANCELLED" }) as unknown,
    });
    await expect(s.resume("r", true, never)).rejects.toThrow(withCode("ENTRY_NOT_FOUND"));
  });

  it("leaves results that belong to it: a later attempt has them among its steps", async () => {
    const { s } = await start();
    const body = async (turn: OpenTurn): Promise<MessageInput> => {
      await turn.append({ role: "assistant", parts: [{ type: "tool-call", toolCallId: "1", toolName: "pay", input: {} }] });
      return asksFor("r")(turn);
    };
    await s.turn("q", body, { turnKey: "k" });
    await s.turn("never mind", async () => "fine", { ifSuspended: "decline" });
    const entries = await entriesOf(s);
    const [denied] = entries.filter(({ data }) => (data as { role?: string }).role === "tool");
    const [began] = entries.filter(({ type }) => type === "turn");
    expect(denied?.turn).toBe(began?.seq);
    expect(denied?.fence).toBeGreaterThan(began?.fence as number);
  });
});

describe("a turn that waits", () => {
  it("is not looked for in the log where the tip is known to be none", async () => {
    let asked = 0;
    const log = (tip: object | undefined): SessionLog =>
      ({ knownTip: () => tip, waitingAt: async () => void (asked += 1) }) as unknown as SessionLog;
    for (const [tip, times] of [
      [{}, 0],
      [{ waitsFor: ["r"] }, 1],
      [undefined, 2],
    ] as const) {
      expect(await suspensionAt(log(tip), {} as Head)).toBeUndefined();
      expect(asked).toBe(times);
    }
  });
});

describe("what is shown of a suspended turn", () => {
  it("names up to eight requests, and long ids only in part", () => {
    const ids = Array.from({ length: 10 }, (_, index) => `r${index}`);
    const quoted = (count: number): string =>
      ids
        .slice(0, count)
        .map((each) => `"${each}"`)
        .join(", ");
    expect(named(["r0"])).toBe('request "r0"');
    expect(named(ids.slice(0, 2))).toBe('requests "r0", "r1"');
    expect(named(ids.slice(0, 8))).toBe(`requests ${quoted(8)}`);
    expect(named(ids)).toBe(`requests ${quoted(8)} and 2 more`);
    expect(named(["x".repeat(80)])).toBe(`request "${"x".repeat(80)}"`);
    expect(named(["x".repeat(81)])).toBe(`request "${"x".repeat(80)}…"`);
  });

  it("is found by its key, else by its own id", () => {
    expect(opOf(undefined, "turn")).toBe("t:turn");
    expect(opOf("k", "turn")).toMatch(/^t:[\w-]{43}$/);
    expect(opOf("k", "another")).toBe(opOf("k", "turn"));
  });

  it("is what the assistant said last, else an empty message that is stored nowhere", async () => {
    const message = (role: "assistant" | "tool", text: string): Parameters<typeof lastWords>[0][number] => ({
      id: text,
      role,
      parts: [{ type: "text", text }],
      timestamp: "then",
    });
    expect(lastWords([message("assistant", "a"), message("assistant", "b"), message("tool", "c")], "turn", "now")).toEqual({
      message: message("assistant", "b"),
      text: "b",
    });
    expect(lastWords([message("tool", "c")], "turn", "now")).toEqual({
      message: { id: "turn.suspended", role: "assistant", parts: [], timestamp: "now" },
      text: "",
    });
    const { s } = await start();
    expect((await s.turn("q", asksFor("r"))).message.parts).toEqual([]);
    expect(texts(await s.messages())).toEqual(["q"]);
  });
});
