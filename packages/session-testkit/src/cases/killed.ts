import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { isAixgoError } from "@aixgo/core";
import type { Head, SessionBackend } from "@aixgo/session/backend";
import type { Case } from "../harness/case.ts";
import { type Child, TaskFailure, withChildren } from "../harness/child.ts";
import { blobOf, readBlob } from "../harness/blob.ts";
import { holds, refused, until, written } from "../harness/expect.ts";
import { continueLog, createLog, message } from "../harness/log-builder.ts";
import { blobsOf, needsModule as needs, needsOffer } from "../harness/offers.ts";
import { append, creatingAs, linesFrom, startSession } from "../harness/start-session.ts";
import { PASSING, patiently } from "../harness/surely.ts";
import { verifyLog } from "../harness/verify-log.ts";

const LINES = 20;
/** How much the source has given when its process is killed: next to nothing, the half, all. */
const MOMENTS = [0, LINES / 2, LINES - 1];

/** Waits until the child's source has given so much, and kills it. */
async function killAt(child: Child, task: Parameters<Child["ask"]>[0], moment: number): Promise<void> {
  let failed: unknown;
  const ask = (): void => {
    failed = undefined;
    child.ask(task).catch((error: unknown) => (failed = error));
  };
  ask();
  await until(
    "the child gives what it is asked for",
    async () => {
      if (child.acked.includes(`given:${moment}`)) return true;
      if (failed === undefined) return false;
      // A store that was not to be had for a moment is no matter of this case.
      if (!(failed instanceof TaskFailure) || failed.code === undefined || !PASSING.has(failed.code)) throw failed;
      ask();
      return false;
    },
    60_000,
  );
  await child.kill();
}

/** The head of a session that may not be there. */
async function found(node: SessionBackend, id: string): Promise<Head | undefined> {
  try {
    return await patiently("head", () => node.head(id));
  } catch (error) {
    if (isAixgoError(error, "SESSION_NOT_FOUND")) return undefined;
    throw error;
  }
}

export const killedCases: readonly Case[] = [
  {
    id: "processes/killed-creator",
    sentence: "create: all or nothing, also if the creator is killed; an unfinished create is completed by the next caller.",
    needs,
    async run(context) {
      const { backend, open } = context;
      await withChildren(context, MOMENTS.length, async (children) => {
        await Promise.all(
          MOMENTS.map(async (moment, i) => {
            const key = `k${i}`;
            const id = randomBytes(16).toString("hex");
            await killAt(children[i] as Child, { kind: "slow-create", id, key, lines: LINES }, moment);
            const other = await open();
            const head = await found(other, id);
            if (head !== undefined) {
              assert.equal(moment, LINES - 1, "a session is there whose creator was killed before its last line");
              assert.equal(head.seq, LINES - 1, "a part of a session is there");
            }
            const isListed = (await other.list({ limit: 1000 })).items.some((info) => info.id === id);
            assert.ok(isListed || head === undefined, "a session that is there is not listed");
            assert.ok(!isListed || (await found(other, id)) !== undefined, "a session is listed that is not there");
            const next = creatingAs({ key }, "get");
            const answer = await patiently("create", () => backend.create(next));
            // What the store was told with the last line may be done when the one who asked for it is gone.
            if (head !== undefined || moment < LINES - 1)
              assert.equal(answer.created, head === undefined, "the create was not completed by the next caller");
            assert.ok([id, next.ref.id].includes(answer.head.id), "the session has an id that nobody chose");
            const { lines } = await verifyLog(other, answer.head);
            assert.equal(lines.length, answer.created ? 1 : LINES, "lines of the dead creator and of the next one are mixed");
            const again = await other.create(creatingAs({ key }, "get"));
            assert.deepEqual([again.created, again.head.id], [false, answer.head.id]);
            await append(other, continueLog(again.head), message("goes on"));
          }),
        );
      });
      assert.equal((await backend.list({})).items.length, MOMENTS.length);
    },
  },
  {
    id: "processes/killed-rewriter",
    sentence: "Replaces the log, all or nothing, also if the process that does it is killed.",
    needs,
    async run(context) {
      const { backend, open } = context;
      await withChildren(context, MOMENTS.length, async (children) => {
        await Promise.all(
          MOMENTS.map(async (moment, i) => {
            const log = await startSession(backend, { history: [message("one"), message("two")] });
            const { id } = log.ref;
            await killAt(children[i] as Child, { kind: "slow-rewrite", id, lines: LINES }, moment);
            const other = await open();
            const head = await patiently("head", () => other.head(id));
            if (head.incarnation === log.ref.incarnation) {
              await holds(other, log);
              await append(other, log, message("goes on"));
              const next = createLog({ id });
              const request = { expect: log.position, next: next.ref, lines: linesFrom(next.lines) };
              written(await backend.rewrite(log.ref, request));
              await holds(other, next);
              return;
            }
            assert.equal(moment, LINES - 1, "a log was replaced whose new lines were not all there");
            const { lines } = await verifyLog(other, head);
            assert.equal(lines.length, LINES, "a part of the new log is there");
            await append(backend, continueLog(head), message("goes on"));
          }),
        );
      });
    },
  },
  {
    id: "processes/killed-uploader",
    sentence: "Nothing is stored of bytes whose process is killed before the last of them: half a blob is never seen.",
    needs: (fixture) => needs(fixture) ?? needsOffer("blobs")(fixture),
    async run(context) {
      const { backend, open } = context;
      const { ref } = await startSession(backend);
      const pieces = Array.from({ length: LINES }, (_, i) => `${i} `.repeat(8_000));
      const whole = blobOf(pieces.join(""));
      const parts = pieces.map((_, i) => blobOf(pieces.slice(0, i).join("")));
      const moments = [1, LINES / 2];
      await withChildren(context, moments.length * 2, async (children) => {
        await Promise.all(
          children.map((child, i) => {
            const known = i % 2 === 0 ? { digest: whole.digest } : {};
            return killAt(child, { kind: "slow-attach", id: ref.id, pieces, ...known }, moments[i >> 1] as number);
          }),
        );
      });
      for (const node of [backend, await open()]) {
        for (const { digest } of [whole, ...parts]) {
          await refused("ENTRY_NOT_FOUND", () => readBlob(node, ref, digest));
          assert.equal(await blobsOf(node).touch(ref, digest), false, "half a blob can be touched");
        }
      }
      assert.equal(await blobsOf(backend).put(ref, whole.digest, linesFrom([whole.bytes])), whole.digest);
      assert.ok(whole.bytes.equals(await readBlob(await open(), ref, whole.digest)), "other bytes came back");
    },
  },
];
