import { createRuntime, type Execute } from "@aixgo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AggregatorOptions, type Ballot, countVotes, createAggregatorAgent, type VotingStrategy } from "../src/index.ts";
import { createScriptedModel } from "../src/testing.ts";

async function aggregate(options: Partial<AggregatorOptions> & object, agents: Readonly<Record<string, string | Execute>>) {
  await using runtime = createRuntime().register(
    createAggregatorAgent({ name: "all", agents: Object.keys(agents), ...options } as AggregatorOptions),
  );
  for (const [name, reply] of Object.entries(agents))
    runtime.register(name, typeof reply === "function" ? reply : () => ({ message: reply, usage: { inputTokens: 1 } }));
  await runtime.start();
  const stream = runtime.stream("all", "Which?");
  let shown = "";
  for await (const event of stream) if (event.type === "text-delta") shown += event.text;
  return { reply: await stream.reply, shown };
}
const broken: Execute = () => {
  throw new Error("no");
};

describe("countVotes", () => {
  const ballots = (...choices: string[]): Ballot[] => choices.map((choice, index) => ({ agent: `a${index}`, choice }));
  it.each([
    ["plurality", ["x", "y", "y", "z"], "y"],
    ["plurality", ["x", "y"], "x"],
    ["plurality", ["z", "y", "y", "z"], "z"],
    ["majority", ["x", "x", "y"], "x"],
    ["majority", ["x", "x", "y", "y"], undefined],
    ["majority", ["x", "y", "z", "x"], undefined],
    ["unanimous", ["x", "x"], "x"],
    ["unanimous", ["x", "x", "y"], undefined],
    ["plurality", [], undefined],
    ["majority", [], undefined],
    ["unanimous", [], undefined],
  ] as const)("by %s of %j is won by %s", (strategy, choices, winner) => {
    expect(countVotes(ballots(...choices), strategy).winner).toBe(winner);
  });

  it("by weight and by confidence sums them", () => {
    const given = [
      { agent: "junior", choice: "x", confidence: 0.4 },
      { agent: "junior", choice: "x", confidence: 0.4 },
      { agent: "senior", choice: "y", confidence: 0.9 },
    ];
    expect(countVotes(given, "plurality").winner).toBe("x");
    expect(countVotes(given, "weighted", { senior: 3 })).toEqual({
      winner: "y",
      counts: [
        { choice: "y", votes: 3, agents: ["senior"] },
        { choice: "x", votes: 2, agents: ["junior", "junior"] },
      ],
    });
    expect(countVotes(given, "confidence").winner).toBe("y");
    expect(countVotes(given, "weighted", { senior: 0, junior: 0 }).winner).toBeUndefined();
  });

  it("always names a choice with the most votes, the first of equals, whatever the ballots", () => {
    const ballot = fc.record({
      agent: fc.constantFrom("a", "b"),
      choice: fc.constantFrom("x", "y", "z"),
      confidence: fc.double({ min: 0.1, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(
        fc.array(ballot, { minLength: 1 }),
        fc.constantFrom<VotingStrategy>("plurality", "weighted", "confidence"),
        (given, strategy) => {
          const { winner, counts } = countVotes(given, strategy, { a: 2 });
          const most = Math.max(...counts.map(({ votes }) => votes));
          expect(winner).toBe(given.find(({ choice }) => counts.find((each) => each.choice === choice)?.votes === most)?.choice);
          expect(counts.flatMap(({ agents }) => agents)).toHaveLength(given.length);
        },
      ),
    );
  });
});

describe("an aggregator that votes", () => {
  it("answers with the first reply for the winner, and the counts", async () => {
    const { reply } = await aggregate({ strategy: "majority" }, { a: "Yes.", b: "No", c: "  yes  " });
    expect(reply.text).toBe("Yes.");
    expect(reply.message.metadata).toEqual({
      votes: [
        { choice: "yes", votes: 2, agents: ["a", "c"] },
        { choice: "no", votes: 1, agents: ["b"] },
      ],
    });
    expect(reply.usage).toEqual({ inputTokens: 3 });
  });

  it("reads classifications, takes weights, and a ballot of its own", async () => {
    const found = (label: string, confidence: number) => JSON.stringify({ label, confidence, reason: `${confidence}` });
    const sure = await aggregate({ strategy: "confidence" }, { a: found("x", 0.3), b: found("x", 0.3), c: found("y", 0.9) });
    expect(sure.reply.text).toContain('"y"');
    const weighted = await aggregate({ strategy: "weighted", weights: { c: 5 } }, { a: "x", b: "x", c: "y" });
    expect(weighted.reply.text).toBe("y");
    const own = await aggregate(
      { strategy: "plurality", ballot: ({ text }) => ({ choice: String(text.length) }) },
      { a: "aa", b: "b", c: "c" },
    );
    expect(own.reply.text).toBe("b");
  });

  it("fails when nobody wins, with the counts", async () => {
    await expect(aggregate({ strategy: "unanimous" }, { a: "x", b: "y" })).rejects.toMatchObject({
      code: "AGENT_FAILED",
      message: expect.stringContaining("no answer has won (unanimous)"),
      details: { votes: [{ choice: "x" }, { choice: "y" }] },
    });
  });

  it("needs minReplies, and counts only who answered", async () => {
    expect((await aggregate({ strategy: "majority", minReplies: 1 }, { a: broken, b: "x" })).reply.text).toBe("x");
    await expect(aggregate({ strategy: "majority" }, { a: broken, b: "x" })).rejects.toThrow('agent "a"');
  });

  it("asks one agent several times where its name is given several times", async () => {
    const replies = ["x", "y", "y"];
    const { reply } = await aggregate({ strategy: "majority", agents: ["a", "a", "a"] }, { a: () => replies.pop() as string });
    expect(reply.text).toBe("y");
  });

  it("says that a ballot is wrong, not the caller", async () => {
    await expect(aggregate({ strategy: "majority", ballot: (() => 5) as never }, { a: "x" })).rejects.toThrow(
      'ballot must give { choice, confidence? from 0 to 1 } for the reply of "a"',
    );
  });
});

describe("an aggregator with a model", () => {
  it("shows the model the question and every answer, and streams what it makes of them", async () => {
    const model = createScriptedModel([{ text: "Both agree.", usage: { inputTokens: 9, outputTokens: 3 } }]);
    const { reply, shown } = await aggregate(
      { strategy: "synthesis", model, instructions: "Merge." },
      { a: "Oslo is cold", b: "Oslo is freezing" },
    );
    expect([reply.text, shown]).toEqual(["Both agree.", "Both agree."]);
    expect(reply.usage).toEqual({ inputTokens: 11, outputTokens: 3 });
    expect(model.calls[0]?.prompt).toEqual([
      { role: "system", content: "Merge." },
      {
        role: "user",
        content: [{ type: "text", text: "Question:\nWhich?\n\nAnswer 1, of a:\nOslo is cold\n\nAnswer 2, of b:\nOslo is freezing" }],
      },
    ]);
  });
});

it.each([
  [{ agents: [] }, "agents must be a list"],
  [{ strategy: "consensus" }, "strategy must be one of plurality, majority"],
  [{ strategy: undefined }, "strategy is missing"],
  [{ strategy: "synthesis" }, "model is missing"],
  [{ weights: { a: 1 } }, "weights are only for the strategy weighted"],
  [{ strategy: "weighted", weights: { z: 1 } }, "weights.z is of none of the agents"],
  [{ strategy: "weighted", weights: { a: -1 } }, "weights.a must be a number"],
  [{ minReplies: 3 }, "minReplies (3) is more"],
  [{ model: createScriptedModel([]) }, "unknown option model"],
])("an aggregator refuses %#", (options, words) => {
  expect(() => createAggregatorAgent({ name: "all", agents: ["a", "b"], strategy: "majority", ...options } as never)).toThrowError(
    expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(words) }),
  );
});
