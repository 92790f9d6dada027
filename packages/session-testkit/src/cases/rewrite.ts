import assert from "node:assert/strict";
import type { SessionBackend } from "@aixgo/session/backend";
import type { Case } from "../harness/case.ts";
import { conflicting, failsWith, holds, refused, until, written } from "../harness/expect.ts";
import { createLog, type LogBuilder, type LogOptions, message } from "../harness/log-builder.ts";
import { append, creatingAs, failingLines, linesFrom, LONG_MS, startSession, takeLease } from "../harness/start-session.ts";
import { linesOf, readLines } from "../harness/verify-log.ts";
import { sameLines } from "../harness/same-lines.ts";

const REWRITE = "Rewrite replaces a log by a new incarnation of the same id; old cursors, leases and handles get `INCARNATION_CHANGED`.";

/** The next life of a session, not yet in the store. */
function nextLife(log: LogBuilder, options: LogOptions = {}, texts: readonly string[] = ["redacted"]): LogBuilder {
  const next = createLog({ ...options, id: log.ref.id });
  for (const text of texts) next.add(message(text));
  return next;
}

function rewriting(log: LogBuilder, next: LogBuilder): Parameters<SessionBackend["rewrite"]>[1] {
  return { expect: log.position, next: next.ref, lines: linesFrom(next.lines) };
}

export const rewriteCases: readonly Case[] = [
  {
    id: "rewrite/replaces",
    sentence: REWRITE,
    async run({ backend, open }) {
      const log = await startSession(backend, { history: [message("secret one"), message("secret two"), message("three")] });
      const other = await open();
      await other.head(log.ref.id);
      const next = nextLife(log, { metadata: { redacted: true } });
      const head = written(await backend.rewrite(log.ref, rewriting(log, next)));
      assert.deepEqual(
        { seq: head.seq, hash: head.hash, incarnation: head.incarnation },
        { ...next.position, incarnation: next.ref.incarnation },
      );
      for (const node of [backend, other]) {
        await holds(node, next);
        assert.deepEqual((await node.list({})).items, [(await node.head(log.ref.id)).info]);
        await append(node, next, message("goes on"));
      }
      await holds(other, next);
    },
  },
  {
    id: "rewrite/old-life-refused",
    sentence: REWRITE,
    async run({ backend, open }) {
      const log = await startSession(backend, { history: [message("secret", { op: "u:1" })] });
      const other = await open();
      await other.head(log.ref.id);
      const next = nextLife(log);
      written(await backend.rewrite(log.ref, rewriting(log, next)));
      for (const node of [backend, other]) {
        await refused("INCARNATION_CHANGED", () =>
          node.append(log.ref, { expect: log.position, lines: log.branch().add(message("late")) }),
        );
        await refused("INCARNATION_CHANGED", () =>
          node.append(log.ref, { expect: next.position, lines: next.branch().add(message("late")) }),
        );
        await refused("INCARNATION_CHANGED", () => readLines(node, log.ref));
        await refused("INCARNATION_CHANGED", () => node.find(log.ref, { op: "u:1" }));
        await refused("INCARNATION_CHANGED", () => node.renew(log.ref, { fence: 1, token: "t" }, LONG_MS));
        await refused("INCARNATION_CHANGED", () => node.cancel(log.ref, "stop"));
        await refused("INCARNATION_CHANGED", () => node.delete(log.ref));
        await refused("INCARNATION_CHANGED", () => node.rewrite(log.ref, rewriting(log, nextLife(log))));
        assert.equal(await node.find(next.ref, { op: "u:1" }), undefined, "an entry of the old life is found");
      }
      await holds(other, next);
    },
  },
  {
    id: "rewrite/expect",
    sentence: "`expect` names seq and hash; a mismatch writes nothing and answers with the new head and the lines since.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const stale = log.branch();
      const other = await open();
      await append(other, log, message("meanwhile"));
      const { conflict, since } = conflicting(await backend.rewrite(log.ref, rewriting(stale, nextLife(log))));
      assert.deepEqual({ seq: conflict.seq, hash: conflict.hash }, log.position);
      if (since !== undefined) sameLines(linesOf(since), log.lines.slice(1));
      const foreign = stale.branch();
      foreign.add(message("never written"));
      conflicting(await backend.rewrite(log.ref, rewriting(foreign, nextLife(log))));
      await holds(other, log);
    },
  },
  {
    id: "rewrite/live-lease",
    sentence: "Replaces the log, all or nothing, by a new incarnation of the same id. A live lease is a conflict.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const lease = await takeLease(backend, log);
      const other = await open();
      conflicting(await other.rewrite(log.ref, rewriting(log, nextLife(log))));
      await holds(backend, log);
      await backend.renew(log.ref, lease, 30);
      await until("the lease expires", async () => ((await other.head(log.ref.id)).lease?.expiresInMs ?? 0) <= 0);
      const next = nextLife(log);
      const head = written(await other.rewrite(log.ref, rewriting(log, next)));
      assert.equal(head.lease, undefined, "the lease of the old life holds the new one");
      await refused("INCARNATION_CHANGED", () => backend.renew(log.ref, lease, LONG_MS));
      await refused("FENCED", () => backend.renew(next.ref, lease, LONG_MS));
      await refused("FENCED", () => backend.append(next.ref, { expect: next.position, lines: next.branch().add(message("late")), lease }));
      await holds(backend, next);
    },
  },
  {
    id: "rewrite/all-or-nothing",
    sentence: "Replaces the log, all or nothing.",
    async run({ backend, open }) {
      const log = await startSession(backend, { history: [message("one")] });
      const next = nextLife(log, {}, ["a", "b", "c"]);
      const failure = new Error("the source failed");
      const request = { expect: log.position, next: next.ref, lines: failingLines(next.lines, failure) };
      await failsWith(failure, backend.rewrite(log.ref, request));
      for (const node of [backend, await open()]) {
        await holds(node, log);
        await refused("INCARNATION_CHANGED", () => readLines(node, next.ref));
      }
      await append(backend, log, message("goes on"));
      written(await backend.rewrite(log.ref, rewriting(log, nextLife(log, {}, ["a"]))));
    },
  },
  {
    id: "rewrite/line-limit",
    sentence: "`LIMIT_EXCEEDED` before anything is written.",
    async run({ backend }) {
      const log = await startSession(backend);
      const next = nextLife(log, {}, ["short", "x".repeat(backend.capabilities.maxLineBytes)]);
      await refused("LIMIT_EXCEEDED", () => backend.rewrite(log.ref, rewriting(log, next)));
      await holds(backend, log);
    },
  },
  {
    id: "rewrite/key-stays",
    sentence: "A new incarnation of the same id: what names the id names it still.",
    async run({ backend, open }) {
      const log = await startSession(backend, { key: "k" });
      const next = nextLife(log, { key: "k" });
      written(await backend.rewrite(log.ref, rewriting(log, next)));
      const other = await open();
      const { head, created } = await other.create(creatingAs({ key: "k" }, "get"));
      assert.equal(created, false);
      assert.deepEqual({ id: head.id, incarnation: head.incarnation }, next.ref);
      await other.delete(next.ref);
      await refused("SESSION_DELETED", () => backend.head(log.ref.id));
      assert.equal((await backend.create(creatingAs({ key: "k" }, "get"))).created, true);
    },
  },
  {
    id: "rewrite/wrapped-keys",
    sentence: "Wrapped keys survive a rewrite: they belong to the id, not to one of its lives.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const keys = Buffer.from([0, 255, 10, 13, ...Buffer.from("wrapped")]);
      const expect = log.position;
      written(await backend.append(log.ref, { expect, lines: log.add(message("sealed")), keys }));
      const other = await open();
      let life = log;
      for (const node of [other, backend]) {
        const next = nextLife(life);
        const head = written(await node.rewrite(life.ref, rewriting(life, next)));
        assert.deepEqual(Buffer.from(head.keys ?? []), keys, "the answer to the rewrite does not bring the wrapped keys");
        for (const reader of [backend, other, await open()])
          assert.deepEqual(Buffer.from((await reader.head(log.ref.id)).keys ?? []), keys, "the wrapped keys went with the old life");
        await append(other, next, message("goes on"));
        life = next;
      }
      const last = Buffer.from("wrapped anew");
      written(await backend.append(life.ref, { expect: life.position, lines: life.add(message("re-keyed")), keys: last }));
      assert.deepEqual(Buffer.from((await other.head(log.ref.id)).keys ?? []), last);
    },
  },
  {
    id: "rewrite/meanwhile",
    sentence: "A mismatch writes nothing: an append that comes while the new lines are read is not lost.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const other = await open();
      const next = nextLife(log, {}, ["a", "b"]);
      const expect = log.position;
      let stored: Promise<unknown> = Promise.resolve();
      async function* lines(): AsyncGenerator<Uint8Array> {
        yield* next.lines.slice(0, 2);
        // A store may make the appender wait until the rewrite is done: both orders are right.
        stored = other.append(log.ref, { expect, lines: log.add(message("meanwhile")) }).then(
          (answer) => "head" in answer,
          () => false,
        );
        await new Promise(setImmediate);
        yield* next.lines.slice(2);
      }
      const answer = await backend.rewrite(log.ref, { expect, next: next.ref, lines: lines() });
      const appended = await stored;
      assert.notEqual("head" in answer, appended, "an append and a rewrite of the same head were both done, or neither");
      await holds(other, appended === true ? log : next);
    },
  },
];
