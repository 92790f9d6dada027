import assert from "node:assert/strict";
import { createSessionManager } from "@aixgo/session";
import type { Case } from "../harness/case.ts";
import { refused, written } from "../harness/expect.ts";
import { follow } from "../harness/follower.ts";
import { createLog, message } from "../harness/log-builder.ts";
import { append, linesFrom, startSession } from "../harness/start-session.ts";

const FEED = "A follower is given each entry once, in order, whichever node appends it, and goes on from its cursor.";
const ENTRIES = 1000;

export const feedCases: readonly Case[] = [
  {
    id: "feed/follow",
    sentence: FEED,
    async run({ backend, open }) {
      const log = await startSession(backend);
      const writer = await open();
      const appending = (async () => {
        for (let next = 1; next <= ENTRIES; next += 1) {
          const size = Math.min(1 + (next % 4), ENTRIES - next + 1);
          await append(writer, log, ...Array.from({ length: size }, (_, index) => message(`${next + index}`)));
          next += size - 1;
          if (next % 7 === 0) await new Promise(setImmediate);
        }
      })();
      try {
        const first = await follow(backend, log.ref.id, 400);
        // As another process would: from what was kept of the cursor.
        const cursor = JSON.parse(JSON.stringify(first.cursor)) as typeof first.cursor;
        const rest = await follow(await open(), log.ref.id, ENTRIES + 1 - 400, cursor);
        const seqs = [...first.entries, ...rest.entries].map(({ seq }) => seq);
        assert.deepEqual(seqs, [...seqs.keys()]);
        assert.equal(rest.cursor?.hash, log.position.hash);
      } finally {
        await appending;
      }
    },
  },
  {
    id: "feed/ends",
    sentence: "A follower ends with `SESSION_DELETED` when the session is deleted, and with `INCARNATION_CHANGED` when it is rewritten.",
    async run({ backend, open }) {
      const other = await open();
      const log = await startSession(backend, { history: [message("one")] });
      const early = await follow(backend, log.ref.id, 2);
      const rewritten = createLog({ id: log.ref.id });
      const following = refused("INCARNATION_CHANGED", () => follow(backend, log.ref.id, 1, early.cursor));
      await new Promise(setImmediate);
      written(await other.rewrite(log.ref, { expect: log.position, next: rewritten.ref, lines: linesFrom(rewritten.lines) }));
      await following;
      const last = await follow(backend, log.ref.id, 1);
      const deleted = refused("SESSION_DELETED", () => follow(backend, log.ref.id, 1, last.cursor));
      await new Promise(setImmediate);
      await other.delete(rewritten.ref);
      await deleted;
    },
  },
  {
    id: "feed/diverged",
    sentence: "`LOG_DIVERGED` when the hash at the cursor does not fit.",
    async run({ backend }) {
      const log = await startSession(backend, { history: [message("one"), message("two")] });
      const session = await createSessionManager({ backend }).get(log.ref.id);
      const elsewhere = log.branch();
      elsewhere.add(message("never written"));
      for (const position of [elsewhere.position, { seq: 1, hash: elsewhere.position.hash }]) {
        const after = session.cursorOf(position);
        await refused("LOG_DIVERGED", async () => {
          for await (const _ of session.entries({ after, follow: true })) assert.fail("an entry of another log was given");
        });
      }
    },
  },
];
