import assert from "node:assert/strict";
import { isAixgoError } from "@aixgo/core";
import { fold, type Head } from "@aixgo/session/backend";
import type { Case } from "../harness/case.ts";
import { failsWith, holds, outcomes, refused } from "../harness/expect.ts";
import { createLog, message, namesSync } from "../harness/log-builder.ts";
import { creating, failingLines, startSession } from "../harness/start-session.ts";
import { foldedPart, readLines, verifyLines } from "../harness/verify-log.ts";

export const createCases: readonly Case[] = [
  {
    id: "create/header",
    sentence: "create: first line the header. The state of a session after its last line is a fold over the lines.",
    async run({ backend, open }) {
      const log = createLog({
        agentName: "helper",
        userId: "ada",
        tenantId: "acme",
        metadata: { colour: "blue", deep: { list: [1, null, "x"] } },
      });
      const { head, created } = await backend.create(creating(log));
      assert.equal(created, true);
      assert.deepEqual(foldedPart(head), foldedPart(fold(undefined, log.lines[0] as Buffer)));
      assert.equal(head.fence, 0);
      assert.equal(head.lease, undefined);
      assert.equal(head.keys, undefined);
      await holds(backend, log);
      await holds(await open(), log);
    },
  },
  {
    id: "create/history",
    sentence: "create: first line the header, then a fork's or a copy's history.",
    async run({ backend, open }) {
      const log = await startSession(backend, { history: [message("one"), message("two"), { type: "state", data: { step: 3 } }] });
      assert.equal((await holds(await open(), log)).info.messageCount, 2);
      const expect = log.position;
      assert.ok("head" in (await backend.append(log.ref, { expect, lines: log.add(message("three")) })));
      await holds(backend, log);
    },
  },
  {
    id: "create/all-or-nothing",
    sentence: "create: all or nothing.",
    async run({ backend, open }) {
      const log = createLog();
      log.group(Array.from({ length: 20 }, (_, i) => [message(`number ${i}`)]));
      const failure = new Error("the source failed");
      await failsWith(failure, backend.create({ ...creating(log), lines: () => failingLines(log.lines, failure) }));
      const other = await open();
      for (const node of [backend, other]) {
        await refused("SESSION_NOT_FOUND", () => node.head(log.ref.id));
        assert.deepEqual((await node.list({})).items, []);
      }
      assert.equal((await other.create(creating(log))).created, true);
      await holds(backend, log);
    },
  },
  {
    id: "create/appears-whole",
    sentence: "create: all or nothing.",
    async run({ backend, open }) {
      const log = createLog();
      log.group(Array.from({ length: 12 }, (_, i) => [message(`number ${i}`)]));
      const other = await open();
      const seen: Head[] = [];
      // Between any two lines another node looks: it finds no session, in no way.
      async function* watched(): AsyncGenerator<Uint8Array> {
        for (const line of log.lines) {
          yield line;
          await other.head(log.ref.id).then(
            (head) => seen.push(head),
            (error: unknown) => assert.ok(isAixgoError(error, "SESSION_NOT_FOUND"), String(error)),
          );
          await readLines(other, log.ref).then(
            () => assert.fail("a log can be read before it is created"),
            (error: unknown) => assert.ok(isAixgoError(error, "SESSION_NOT_FOUND"), String(error)),
          );
          assert.deepEqual((await other.list({})).items, []);
        }
      }
      await backend.create({ ...creating(log), lines: watched });
      assert.deepEqual(seen, [], "a session is seen before it is created");
      await holds(other, log);
    },
  },
  {
    id: "create/existing-id",
    sentence: "`ref.id` that exists already: `KEY_EXISTS`.",
    async run({ backend, open }) {
      const log = await startSession(backend, { history: [message("first")] });
      const again = createLog({ id: log.ref.id });
      const other = await open();
      await refused("KEY_EXISTS", () => other.create(creating(again)));
      await refused("KEY_EXISTS", () => backend.create(creating(log)));
      await holds(other, log);
    },
  },
  {
    id: "create/same-id-race",
    sentence: "`ref.id` that exists already: `KEY_EXISTS`.",
    async run({ backend, open }) {
      const other = await open();
      const first = createLog();
      const logs = Array.from({ length: 10 }, () => {
        const log = createLog({ id: first.ref.id });
        log.add(message(`by ${log.ref.incarnation}`));
        return log;
      });
      const { values, errors } = await outcomes(logs.map((log, i) => (i % 2 === 0 ? backend : other).create(creating(log))));
      assert.equal(values.length, 1, `${values.length} of ten creators of one id got it`);
      for (const error of errors) assert.ok(isAixgoError(error, "KEY_EXISTS"), String(error));
      const winner = logs.find((log) => log.ref.incarnation === values[0]?.head.incarnation);
      assert.ok(winner !== undefined);
      await holds(backend, winner);
      await holds(other, winner);
    },
  },
  {
    id: "create/line-limit",
    sentence: "Limits: above: `LIMIT_EXCEEDED` before anything is written.",
    async run({ backend, open }) {
      const log = createLog();
      log.add(message("short"));
      log.add(message("x".repeat(backend.capabilities.maxLineBytes)));
      await refused("LIMIT_EXCEEDED", () => backend.create(creating(log)));
      await refused("SESSION_NOT_FOUND", async () => (await open()).head(log.ref.id));
    },
  },
  {
    id: "create/appended-at-once",
    sentence: "Everything that happens is an entry; head, counters and index follow from the lines.",
    async run({ backend, open }) {
      const other = await open();
      const log = await startSession(backend);
      for (let i = 0; i < 5; i++) {
        const node = i % 2 === 0 ? other : backend;
        const expect = log.position;
        const answer = await node.append(log.ref, { expect, lines: log.add(message(`number ${i}`)) });
        assert.ok("head" in answer);
        assert.deepEqual(foldedPart(answer.head), foldedPart(verifyLines(log.ref, log.lines)));
      }
      assert.equal(namesSync(backend), namesSync(other));
      await holds(backend, log);
    },
  },
];
