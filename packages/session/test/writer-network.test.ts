import { textOf } from "@aixgo/core";
import { describe, expect, it } from "vitest";
import { faulty, seeded } from "./faulty-backend.ts";
import { twoNodes } from "./two-nodes.ts";

describe("appends over a network that loses requests, replies and sends twice", () => {
  it.each(Array.from({ length: 10 }, (_, seed) => seed))(
    "lose and double nothing (seed %i)",
    async (seed) => {
      const random = seeded(seed);
      const { a, b } = twoNodes({}, (backend) => faulty(backend, { lostRequests: 0.1, lostReplies: 0.2, doubled: 0.1, random }));
      const s = await a.create("x");
      const t = await b.get(s.id);
      const sent: string[] = [];
      for (let round = 0; round < 15; round += 1) {
        await Promise.all(
          Array.from({ length: 4 }, async (_, index) => {
            const text = `r${round}.${index}`;
            await (index % 2 ? s : t).append([text, `${text}b`], random() < 0.3 ? { op: text } : {});
            sent.push(text, `${text}b`);
          }),
        );
        if (round % 5 === 0)
          await s
            .turn(`q${round}`, async (turn) => {
              await turn.append(`step${round}`);
              return `a${round}`;
            })
            .then(() => sent.push(`q${round}`, `step${round}`, `a${round}`));
      }
      expect((await t.messages()).map(textOf).toSorted()).toEqual(sent.toSorted());
      expect((await s.verify()).problems).toEqual([]);
    },
    60_000,
  );
});
