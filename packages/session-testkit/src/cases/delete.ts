import assert from "node:assert/strict";
import { isAixgoError } from "@aixgo/core";
import type { Ref, SessionBackend } from "@aixgo/session/backend";
import type { Fixture } from "../fixture.ts";
import { blobOf } from "../harness/blob.ts";
import type { Case } from "../harness/case.ts";
import { holds, outcomes, refused } from "../harness/expect.ts";
import { createLog, type LogBuilder, message } from "../harness/log-builder.ts";
import { needsMember } from "../harness/offers.ts";
import { append, creating, linesFrom, LONG_MS, startSession, takeLease } from "../harness/start-session.ts";
import { readLines } from "../harness/verify-log.ts";

const TOMBSTONE = "Delete leaves the store's tombstone; a late write gets `SESSION_DELETED`.";

/** Nothing can be done with a session that has been deleted, but to delete it again. */
async function isGone(node: SessionBackend, log: LogBuilder): Promise<void> {
  const { ref } = log;
  const late = { expect: log.position, lines: log.branch().add(message("too late")) };
  await refused("SESSION_DELETED", () => node.append(ref, late));
  await refused("SESSION_DELETED", () => node.append(ref, { ...late, lease: { fence: 1, token: "token-1" } }));
  await refused("SESSION_DELETED", () => node.head(ref.id));
  await refused("SESSION_DELETED", () => readLines(node, ref));
  await refused("SESSION_DELETED", () => node.find(ref, { op: "u:1" }));
  await refused("SESSION_DELETED", () => node.renew(ref, { fence: 1, token: "token-1" }, LONG_MS));
  await refused("SESSION_DELETED", () => node.cancel(ref, "stop"));
  const next: Ref = { id: ref.id, incarnation: "next-life" };
  await refused("SESSION_DELETED", () => node.rewrite(ref, { expect: log.position, next, lines: linesFrom(createLog(next).lines) }));
  await refused("SESSION_DELETED", () => node.create(creating(log)));
  await refused("SESSION_DELETED", () => node.create(creating(createLog(next))));
  await refused("SESSION_DELETED", () => node.head(ref.id));
  assert.deepEqual((await node.list({})).items, []);
  assert.deepEqual((await node.list({ order: "id" })).items, []);
}

async function remains(fixture: Fixture, store: string, text: string): Promise<boolean> {
  return (await fixture.remains?.(store, Buffer.from(text))) === true;
}

export const deleteCases: readonly Case[] = [
  {
    id: "delete/late-writes",
    sentence: TOMBSTONE,
    async run({ backend, open }) {
      const other = await open();
      const log = await startSession(backend, { history: [message("one")] });
      await other.head(log.ref.id);
      await backend.delete(log.ref);
      for (const node of [backend, other, await open()]) await isGone(node, log);
    },
  },
  {
    id: "delete/twice",
    sentence: "Leaves a tombstone. Idempotent for the same incarnation.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      const other = await open();
      await backend.delete(log.ref);
      await backend.delete(log.ref);
      await other.delete(log.ref);
      await isGone(other, log);
    },
  },
  {
    id: "delete/erase",
    sentence: "erase: also keys, blobs and damaged remains.",
    async run({ backend, open }) {
      const log = await startSession(backend);
      await append(backend, log, message("secret"));
      await backend.delete(log.ref, { erase: true });
      for (const node of [backend, await open()]) await isGone(node, log);
      await backend.delete(log.ref, { erase: true });
    },
  },
  {
    id: "delete/under-a-lease",
    sentence: TOMBSTONE,
    async run({ backend, open }) {
      const log = await startSession(backend);
      await takeLease(backend, log);
      await (await open()).delete(log.ref);
      await isGone(backend, log);
    },
  },
  {
    id: "delete/another-life",
    sentence: "The incarnation is named by every write.",
    async run({ backend, open }) {
      const log = await startSession(backend, { key: "k" });
      await refused("INCARNATION_CHANGED", () => backend.delete({ id: log.ref.id, incarnation: "another-life" }));
      await holds(await open(), log);
      await refused("KEY_EXISTS", () => backend.create(creating(createLog({ key: "k" }))));
    },
  },
  {
    id: "delete/others-stay",
    sentence: "Delete leaves the store's tombstone `{ id, incarnation, deletedAt }`: that of no other session.",
    async run({ backend }) {
      const logs = [await startSession(backend), await startSession(backend), await startSession(backend, { agentName: "other" })];
      await backend.delete((logs[1] as LogBuilder).ref);
      for (const i of [0, 2]) {
        await append(backend, logs[i] as LogBuilder, message("still there"));
        await holds(backend, logs[i] as LogBuilder);
      }
      const rest = new Set((await backend.list({})).items.map(({ id }) => id));
      assert.deepEqual(rest, new Set([logs[0]?.ref.id, logs[2]?.ref.id]));
    },
  },
  {
    id: "delete/race-with-appends",
    sentence: "A late write gets `SESSION_DELETED`: it never brings a session back.",
    async run({ backend, open }) {
      const other = await open();
      for (let round = 0; round < 5; round++) {
        const log = await startSession(backend);
        const { errors } = await outcomes<unknown>([
          ...Array.from({ length: 4 }, (_, i) =>
            (i % 2 === 0 ? backend : other).append(log.ref, { expect: log.position, lines: log.branch().add(message(`late ${i}`)) }),
          ),
          other.delete(log.ref),
          ...Array.from({ length: 4 }, (_, i) =>
            (i % 2 === 0 ? backend : other).append(log.ref, { expect: log.position, lines: log.branch().add(message(`later ${i}`)) }),
          ),
        ]);
        for (const error of errors) assert.ok(isAixgoError(error, "SESSION_DELETED"), String(error));
        await isGone(backend, log);
        await isGone(other, log);
      }
    },
  },
  {
    id: "delete/nothing-remains",
    sentence: "A deleted conversation is gone: nothing of its lines and attachments is left in the store.",
    needs: needsMember("remains"),
    async run({ backend, open, fixture, store }) {
      const kept = await startSession(backend, { history: [message("of another session, kept")] });
      const log = await startSession(backend);
      await append(backend, log, message("in a message, secret"));
      const texts = ["in a message, secret"];
      if (backend.blobs !== undefined) {
        const { bytes, digest } = blobOf("in an attachment, secret");
        await backend.blobs.put(log.ref, digest, linesFrom([bytes]));
        texts.push("in an attachment, secret");
      }
      for (const text of texts) assert.ok(await remains(fixture, store, text), `the fixture does not find "${text}" in the store`);
      await (await open()).delete(log.ref);
      for (const text of texts) assert.ok(!(await remains(fixture, store, text)), `"${text}" is left of a deleted session`);
      assert.ok(await remains(fixture, store, "of another session, kept"));
      await holds(backend, kept);
    },
  },
  {
    id: "delete/erase-wrapped-keys",
    sentence: "erase: also keys. Sealed lines that somebody has kept cannot be opened any more.",
    needs: needsMember("remains"),
    async run({ backend, open, fixture, store }) {
      const log = await startSession(backend);
      const first = "wrapped data keys of the first life";
      const second = "wrapped data keys of the second life";
      const other = await open();
      const expect = log.position;
      assert.ok("head" in (await backend.append(log.ref, { expect, lines: log.add(message("sealed")), keys: Buffer.from(first) })));
      const next = createLog({ id: log.ref.id });
      assert.ok("head" in (await other.rewrite(log.ref, { expect: log.position, next: next.ref, lines: linesFrom(next.lines) })));
      assert.ok(await remains(fixture, store, first), "the fixture does not find wrapped keys in the store");
      const at = next.position;
      assert.ok(
        "head" in (await backend.append(next.ref, { expect: at, lines: next.add(message("re-keyed")), keys: Buffer.from(second) })),
      );
      assert.ok(!(await remains(fixture, store, first)), "wrapped keys are kept that were replaced");
      assert.ok(await remains(fixture, store, second));
      await other.delete(next.ref, { erase: true });
      assert.ok(!(await remains(fixture, store, second)), "wrapped keys are left of an erased session");
      for (const node of [backend, await open()]) await isGone(node, next);
    },
  },
];
