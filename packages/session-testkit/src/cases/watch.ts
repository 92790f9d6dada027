import assert from "node:assert/strict";
import { isAixgoError } from "@aixgo/core";
import type { Case } from "../harness/case.ts";
import { refused, written } from "../harness/expect.ts";
import { followByHints, hinted } from "../harness/follower.ts";
import { createLog, message } from "../harness/log-builder.ts";
import { needsOffer, watchOf } from "../harness/offers.ts";
import { append, linesFrom, startSession } from "../harness/start-session.ts";

const needs = needsOffer("watch");

/** A hint; or the refusal that is due if the session ended while the watch began. */
async function toldOrRefused(hints: AsyncIterator<void>, code: string): Promise<string> {
  try {
    return await hinted(hints);
  } catch (error) {
    if (isAixgoError(error, code)) return "hint";
    throw error;
  }
}

export const watchCases: readonly Case[] = [
  {
    id: "watch/every-append",
    sentence: "Hints that there is more behind `after`, by whichever process or node it was appended; none is missed.",
    needs,
    async run({ backend, open }) {
      const log = await startSession(backend);
      const nodes = [backend, await open()];
      const { position: after } = log;
      const following = followByHints(await open(), log.ref, after, 60);
      const own = followByHints(backend, log.ref, after, 60);
      for (const each of [following, own]) each.catch(() => undefined);
      for (let i = 0; i < 60; i += 1) {
        await append(nodes[i % 2] as typeof backend, log, message(`${i}`));
        // Sometimes at once, sometimes when the followers have been waiting.
        await new Promise((resolve) => (i % 5 === 0 ? setTimeout(resolve, 10) : setImmediate(resolve)));
      }
      const due = Array.from({ length: 60 }, (_, index) => index + 1);
      assert.deepEqual(await following, due);
      assert.deepEqual(await own, due);
    },
  },
  {
    id: "watch/before",
    sentence: "What was appended before the first `next()` is hinted at once.",
    needs,
    async run({ backend, open }) {
      const log = await startSession(backend);
      const after = log.position;
      await append(backend, log, message("one"));
      assert.deepEqual(await followByHints(await open(), log.ref, after, 1), [1]);
    },
  },
  {
    id: "watch/rewrite-and-delete",
    sentence: "Hints that the session was rewritten or deleted.",
    needs,
    async run({ backend, open }) {
      const other = await open();
      const controller = new AbortController();
      const log = await startSession(backend);
      const next = createLog({ id: log.ref.id });
      const hints = watchOf(backend)(log.ref, log.position, controller.signal)[Symbol.asyncIterator]();
      try {
        const rewritten = toldOrRefused(hints, "INCARNATION_CHANGED");
        await new Promise(setImmediate);
        written(await other.rewrite(log.ref, { expect: log.position, next: next.ref, lines: linesFrom(next.lines) }));
        assert.equal(await rewritten, "hint");
        const again = watchOf(backend)(next.ref, next.position, controller.signal)[Symbol.asyncIterator]();
        const deleted = toldOrRefused(again, "SESSION_DELETED");
        await new Promise(setImmediate);
        await other.delete(next.ref);
        assert.equal(await deleted, "hint");
        await refused("SESSION_DELETED", () => watchOf(backend)(next.ref, next.position, controller.signal)[Symbol.asyncIterator]().next());
        await refused("SESSION_NOT_FOUND", () =>
          watchOf(backend)(createLog().ref, next.position, controller.signal)[Symbol.asyncIterator]().next(),
        );
      } finally {
        controller.abort();
      }
    },
  },
  {
    id: "watch/ends",
    sentence: "Ends when `signal` aborts or the backend is closed.",
    needs,
    async run({ backend, open }) {
      const log = await startSession(backend);
      const node = await open();
      const controller = new AbortController();
      const never = new AbortController();
      const until = async (hints: AsyncIterator<void>): Promise<string> => {
        for (;;) {
          const next = await hinted(hints);
          if (next !== "hint") return next;
        }
      };
      const aborted = until(watchOf(node)(log.ref, log.position, controller.signal)[Symbol.asyncIterator]());
      const closed = until(watchOf(node)(log.ref, log.position, never.signal)[Symbol.asyncIterator]());
      await new Promise((resolve) => setTimeout(resolve, 20));
      controller.abort();
      assert.equal(await aborted, "end", "the hints did not end with the signal");
      await node.close();
      assert.equal(await closed, "end", "the hints did not end with the backend");
      assert.equal(await until(watchOf(backend)(log.ref, log.position, controller.signal)[Symbol.asyncIterator]()), "end");
    },
  },
];
