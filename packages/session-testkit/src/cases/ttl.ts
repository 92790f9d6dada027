import assert from "node:assert/strict";
import { isAixgoError } from "@aixgo/core";
import type { Ref, SessionBackend } from "@aixgo/session/backend";
import type { Case, CaseContext } from "../harness/case.ts";
import { blobOf, readBlob } from "../harness/blob.ts";
import { refused, until, written } from "../harness/expect.ts";
import { createLog, type LogBuilder, message } from "../harness/log-builder.ts";
import { needsMember } from "../harness/offers.ts";
import { append, creatingAs, linesFrom, LONG_MS, startSession } from "../harness/start-session.ts";
import { readLines, verifyLines, verifyLog } from "../harness/verify-log.ts";

const needs = needsMember("openExpiring");
const SHORT_MS = 1_500;
const GONE = ["SESSION_NOT_FOUND", "SESSION_DELETED"];
const PATIENCE_MS = 30_000;
const ROUNDS = 5;
const blob = blobOf("kept no longer than its session");

function opening({ fixture, open }: CaseContext, ttlMs: number): Promise<SessionBackend> {
  return open((store) => (fixture.openExpiring as NonNullable<typeof fixture.openExpiring>)(store, ttlMs));
}

/** Nothing can be done with a session that has expired, and nothing names it. */
async function isGone(node: SessionBackend, log: LogBuilder): Promise<void> {
  const { ref } = log;
  const late = { expect: log.position, lines: log.branch().add(message("too late")) };
  await refused(GONE, () => node.head(ref.id));
  await refused(GONE, () => readLines(node, ref));
  await refused(GONE, () => node.find(ref, { op: "u:1" }));
  await refused(GONE, () => node.append(ref, late));
  await refused(GONE, () => node.append(ref, { ...late, lease: { fence: 1, token: "t" } }));
  await refused(GONE, () => node.renew(ref, { fence: 1, token: "t" }, LONG_MS));
  await refused(GONE, () => node.cancel(ref, "stop"));
  const next: Ref = { id: ref.id, incarnation: "next-life" };
  await refused(GONE, () => node.rewrite(ref, { expect: log.position, next, lines: linesFrom(createLog(next).lines) }));
  const { blobs } = node;
  if (blobs !== undefined) {
    await refused([...GONE, "ENTRY_NOT_FOUND"], () => readBlob(node, ref, blob.digest));
    await refused(GONE, () => blobs.put(ref, blob.digest, linesFrom([blob.bytes])));
    await refused(GONE, () => blobs.touch(ref, blob.digest));
  }
  await refused(GONE, () => node.head(ref.id));
  for (const query of [{}, { order: "id" }, { agentName: "helper" }, { tenantId: "acme" }, { userId: "ada" }] as const) {
    const { items } = await node.list({ ...query, limit: 1000 });
    assert.ok(!items.some(({ id }) => id === ref.id), `an expired session is listed: ${JSON.stringify(query)}`);
  }
}

/** How closely a session was looked at while it lived and went. */
async function expiresWhole(node: SessionBackend, other: SessionBackend, key: string): Promise<"unseen" | "seen" | "closely"> {
  const place = { agentName: "helper", tenantId: "acme", userId: "ada", key };
  const began = performance.now();
  const log = await startSession(node, { ...place, history: [message("one", { op: "u:1" })] });
  const { ref } = log;
  const expect = log.position;
  const lines = log.add(message("two"), message("three"));
  try {
    await node.blobs?.put(ref, blob.digest, linesFrom([blob.bytes]));
    written(await node.append(ref, { expect, lines, keys: Buffer.from("wrapped") }));
  } catch (error) {
    if (!isAixgoError(error) || performance.now() - began < SHORT_MS) throw error;
    return "unseen";
  }
  let last = performance.now();
  let longest = 0;
  let reads = 0;
  await until(
    "the session expires",
    async () => {
      try {
        const there = await readLines(other, ref);
        reads += 1;
        assert.equal(verifyLines(ref, there).seq, log.position.seq, "a part of the log has expired");
        return false;
      } catch (error) {
        if (!isAixgoError(error)) throw error;
        assert.ok(GONE.includes(error.code), `an expired session is answered with ${String(error)}`);
        return true;
      } finally {
        longest = Math.max(longest, performance.now() - last);
        last = performance.now();
      }
    },
    PATIENCE_MS,
  );
  for (const one of [node, other]) await isGone(one, log);
  // Its key is free, and what comes next begins anew.
  const next = await other.create(creatingAs(place, "get"));
  assert.equal(next.created, true, "the key of an expired session is not free");
  assert.equal(next.head.keys, undefined, "the wrapped keys of an expired session are those of the next one");
  const made = performance.now();
  try {
    assert.equal((await verifyLog(node, next.head)).lines.length, 1);
  } catch (error) {
    if (!isAixgoError(error) || performance.now() - made < SHORT_MS / 2) throw error;
  }
  if (next.head.id !== ref.id) await refused(GONE, () => node.append(ref, { expect, lines }));
  return reads === 0 ? "unseen" : longest < SHORT_MS / 4 ? "closely" : "seen";
}

export const ttlCases: readonly Case[] = [
  {
    id: "ttl/declared",
    sentence: "`ttl`: whether sessions may expire by themselves.",
    async run({ backend, fixture }) {
      const { ttl } = backend.capabilities;
      assert.equal(
        fixture.openExpiring !== undefined,
        ttl,
        ttl
          ? "`capabilities.ttl` is true, so the cases about expiry are due: give the fixture's openExpiring"
          : "`capabilities.ttl` is false: leave out the fixture's openExpiring",
      );
    },
  },
  {
    id: "ttl/expires-whole",
    sentence: "All of a session expires at once: log, lease, key, attachments and its place in the list. A late write is refused.",
    needs,
    async run(context) {
      const [node, other] = [await opening(context, SHORT_MS), await opening(context, SHORT_MS)];
      assert.equal(node.capabilities.ttl, true);
      // On a machine that stands still for so long, too little is seen of how a session goes: another one then.
      let isSeen = false;
      for (let round = 0; round < ROUNDS; round += 1) {
        const how = await expiresWhole(node, other, `k${round}`);
        if (how === "closely") return;
        isSeen ||= how === "seen";
      }
      assert.ok(isSeen, "the sessions were gone before they could be read");
    },
  },
  {
    id: "ttl/append-prolongs",
    sentence: "A session expires so long after its last append: what is used stays, all of it.",
    needs,
    async run(context) {
      const node = await opening(context, SHORT_MS * 2);
      // On a machine that stands still for so long, the session is right to expire: begun anew then.
      for (let round = 0; round < 5; round += 1) {
        const log = await startSession(node, { key: `k${round}` });
        await node.blobs?.put(log.ref, blob.digest, linesFrom([blob.bytes]));
        let longest = 0;
        let last = performance.now();
        for (const end = last + SHORT_MS * 3; last < end && longest < SHORT_MS;) {
          await new Promise((resolve) => setTimeout(resolve, SHORT_MS / 5));
          try {
            await append(node, log, message("goes on"));
          } catch (error) {
            if (!isAixgoError(error) || performance.now() - last < SHORT_MS) throw error;
          }
          longest = Math.max(longest, performance.now() - last);
          last = performance.now();
        }
        if (longest >= SHORT_MS) continue;
        const { lines } = await verifyLog(node, log.ref);
        assert.equal(lines.length, log.lines.length);
        if (node.blobs !== undefined) assert.ok(blob.bytes.equals(await readBlob(node, log.ref, blob.digest)));
        const { head, created } = await node.create(creatingAs({ key: `k${round}` }, "get"));
        assert.deepEqual([created, head.id], [false, log.ref.id], "the key of a session that is used has expired");
        assert.ok((await node.list({ limit: 1000 })).items.some(({ id }) => id === log.ref.id));
        return;
      }
      assert.fail("the machine stood still too often to say anything about expiry");
    },
  },
];
