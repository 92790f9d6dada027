import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { isAixgoError } from "@aixgo/core";
import type { SessionBackend } from "@aixgo/session/backend";
import type { Case } from "../harness/case.ts";
import { failsWith, holds, outcomes, refused } from "../harness/expect.ts";
import { createLog, message } from "../harness/log-builder.ts";
import { append, creating, creatingAs, failingLines, startSession } from "../harness/start-session.ts";
import { verifyLog } from "../harness/verify-log.ts";

const UNIQUE =
  "Unique keys `(tenant, agent, key)`: the key record is written first and names the id, then the log is created with that id.";
const ONE = "With a key: concurrent creators get one session.";
const UNFINISHED = "An unfinished create is completed by the next caller, for whose id `lines` is called.";
const FREED = "Delete: tombstone first, then the key if it still names this id.";
const ORDER_MS = 500;

/** Who answers to a key now. */
async function holder(backend: SessionBackend, options: Parameters<typeof createLog>[0]): Promise<string> {
  const { head, created } = await backend.create(creatingAs(options ?? {}, "get"));
  assert.equal(created, false, "nobody has the key");
  return head.id;
}

export const keyCases: readonly Case[] = [
  {
    id: "keys/taken",
    sentence: "What to do if `info.key` is taken. Absent: `KEY_EXISTS`.",
    async run({ backend, open }) {
      const log = await startSession(backend, { key: "user:ada", history: [message("mine")] });
      for (const node of [backend, await open()]) {
        const rival = createLog({ key: "user:ada" });
        await refused("KEY_EXISTS", () => node.create(creating(rival)));
        await refused("SESSION_NOT_FOUND", () => node.head(rival.ref.id));
        assert.equal((await node.list({})).items.length, 1);
      }
      await holds(backend, log);
    },
  },
  {
    id: "keys/get",
    sentence: "`get`: answer with the session that has it.",
    async run({ backend, open }) {
      const first = await backend.create(creatingAs({ key: "user:ada" }, "get"));
      assert.equal(first.created, true);
      for (const node of [backend, await open()]) {
        const rival = creatingAs({ key: "user:ada" }, "get");
        const { head, created } = await node.create(rival);
        assert.equal(created, false);
        assert.deepEqual(
          { id: head.id, incarnation: head.incarnation, seq: head.seq, hash: head.hash },
          { id: first.head.id, incarnation: first.head.incarnation, seq: first.head.seq, hash: first.head.hash },
        );
        await refused("SESSION_NOT_FOUND", () => node.head(rival.ref.id));
      }
      assert.equal((await backend.list({})).items.length, 1);
    },
  },
  {
    id: "keys/get-brings-head",
    sentence: "`get`: answer with the session that has it: its head as it is now.",
    async run({ backend, open }) {
      const log = await startSession(backend, { key: "k" });
      const other = await open();
      await append(other, log, message("one"), message("two"));
      const { head } = await backend.create(creatingAs({ key: "k" }, "get"));
      assert.deepEqual({ seq: head.seq, hash: head.hash }, log.position);
      assert.equal(head.info.messageCount, 2);
    },
  },
  {
    id: "keys/scope",
    sentence: UNIQUE,
    async run({ backend, open }) {
      const places = [
        { key: "k" },
        { key: "K" },
        { key: "k " },
        { key: "k", agentName: "other" },
        { key: "k", tenantId: "acme" },
        { key: "k", tenantId: "zeta" },
        // Joined by a separator, these would be one.
        { key: "agent:x" },
        { key: "x", tenantId: "agent" },
        { key: "agent/x" },
        { key: "agent.x" },
        { key: "agent\u0000x" },
        { key: '","x' },
        { key: "user:é" },
        { key: "user:e\u0301" },
        { key: "../k" },
        { key: "k/../../x" },
        { key: "x".repeat(512) },
        { key: "x".repeat(511) },
        { key: "__proto__" },
        { key: "\u{1F99C}\u2028" },
      ];
      const ids = new Map<string, object>();
      for (const place of places) {
        const { head, created } = await backend.create(creatingAs(place, "get"));
        assert.equal(created, true, `${JSON.stringify(place)} met the key of another place`);
        ids.set(head.id, place);
      }
      assert.equal(ids.size, places.length);
      const other = await open();
      for (const place of places) assert.equal(ids.get(await holder(other, place)), place);
    },
  },
  {
    id: "keys/none",
    sentence: "Sessions created without a key are never returned.",
    async run({ backend }) {
      await startSession(backend, { agentName: "helper", userId: "ada" });
      await startSession(backend, { agentName: "helper", userId: "ada" });
      const { created } = await backend.create(creatingAs({ agentName: "helper", userId: "ada", key: "user:ada" }, "get"));
      assert.equal(created, true);
      assert.equal((await backend.list({})).items.length, 3);
    },
  },
  {
    id: "keys/race",
    sentence: ONE,
    async run({ backend, open }) {
      const nodes = [backend, await open()];
      for (let round = 0; round < 4; round++) {
        const key = `user:${round}`;
        const answers = await Promise.all(
          Array.from({ length: 20 }, (_, i) => (nodes[i % 2] as SessionBackend).create(creatingAs({ key }, "get"))),
        );
        const ids = new Set(answers.map(({ head }) => `${head.id} ${head.incarnation}`));
        assert.equal(ids.size, 1, `20 creators of one key got ${ids.size} sessions`);
        assert.equal(answers.filter(({ created }) => created).length, 1, "not exactly one of 20 creators created the session");
      }
      assert.equal((await backend.list({})).items.length, 4);
      for (const { id } of (await backend.list({})).items) await verifyLog(backend, await backend.head(id));
    },
  },
  {
    id: "keys/race-for-new",
    sentence: "Unique keys `(tenant, agent, key)`; taken and no `onKey`: `KEY_EXISTS`.",
    async run({ backend, open }) {
      const nodes = [backend, await open()];
      const { values, errors } = await outcomes(
        Array.from({ length: 12 }, (_, i) => (nodes[i % 2] as SessionBackend).create(creatingAs({ key: "k" }))),
      );
      assert.equal(values.length, 1, `${values.length} creators got one key`);
      for (const error of errors) assert.ok(isAixgoError(error, "KEY_EXISTS"), String(error));
      assert.deepEqual(
        (await backend.list({})).items.map(({ id }) => id),
        [values[0]?.head.id],
      );
    },
  },
  {
    id: "keys/unfinished",
    sentence: UNFINISHED,
    async run({ backend, open }) {
      const place = { key: "user:ada" };
      const other = await open();
      for (const onKey of ["get", undefined, "take"] as const) {
        const failing = createLog(place);
        failing.add(message("one"));
        const failure = new Error("the creator died");
        await failsWith(failure, backend.create({ ...creating(failing, "get"), lines: () => failingLines(failing.lines, failure) }));
        for (const node of [backend, other]) {
          await refused("SESSION_NOT_FOUND", () => node.head(failing.ref.id));
          assert.deepEqual((await node.list({})).items, [], "an unfinished create is listed");
        }
        const next = creatingAs(place, onKey);
        const { head, created } = await other.create(next);
        assert.equal(created, true, "the next caller did not complete the create");
        assert.ok([failing.ref.id, next.ref.id].includes(head.id), "the session has an id that nobody chose");
        assert.equal(next.asked.at(-1), head.id, "`lines` was not called with the id of the session");
        assert.equal(head.incarnation, next.ref.incarnation);
        assert.equal(await holder(backend, place), head.id);
        await verifyLog(backend, head);
        assert.equal((await other.list({})).items.length, 1);
        await other.delete(head);
      }
    },
  },
  {
    id: "keys/unfinished-race",
    sentence: `${UNFINISHED} ${ONE}`,
    async run({ backend, open }) {
      const nodes = [backend, await open()];
      const failing = createLog({ key: "k" });
      await assert.rejects(
        backend.create({ ...creating(failing, "get"), lines: () => failingLines(failing.lines, new Error("the creator died")) }),
      );
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, i) => (nodes[i % 2] as SessionBackend).create(creatingAs({ key: "k" }, "get"))),
      );
      assert.equal(new Set(answers.map(({ head }) => `${head.id} ${head.incarnation}`)).size, 1);
      assert.equal(answers.filter(({ created }) => created).length, 1);
      assert.equal((await backend.list({})).items.length, 1);
    },
  },
  {
    id: "keys/take",
    sentence: "`take`: the key moves to the new one.",
    async run({ backend, open }) {
      const old = await startSession(backend, { key: "k", history: [message("old")] });
      const other = await open();
      const { head, created } = await other.create(creatingAs({ key: "k" }, "take"));
      assert.equal(created, true);
      assert.notEqual(head.id, old.ref.id);
      for (const node of [backend, other]) assert.equal(await holder(node, { key: "k" }), head.id);
      await append(backend, old, message("still there"));
      await holds(other, old);
      assert.equal((await other.list({})).items.length, 2);
    },
  },
  {
    id: "keys/take-free",
    sentence: "`take`: the key moves to the new one; nobody need have had it.",
    async run({ backend, open }) {
      const { head, created } = await backend.create(creatingAs({ key: "k" }, "take"));
      assert.equal(created, true);
      assert.equal(await holder(await open(), { key: "k" }), head.id);
    },
  },
  {
    id: "keys/take-failed",
    sentence: "All or nothing: a create that fails takes no key from a session that has it.",
    async run({ backend, open }) {
      const old = await startSession(backend, { key: "k" });
      const failing = createLog({ key: "k" });
      failing.add(message("one"));
      await assert.rejects(
        backend.create({ ...creating(failing, "take"), lines: () => failingLines(failing.lines, new Error("the creator died")) }),
      );
      await holds(backend, old);
      // A store that names the key's new session first has promised it to the next caller; one that writes all at once has not.
      const { head, created } = await (await open()).create(creatingAs({ key: "k" }, "get"));
      assert.ok(head.id === old.ref.id ? !created : created);
      assert.equal(await holder(backend, { key: "k" }), head.id);
      await verifyLog(backend, head);
    },
  },
  {
    id: "keys/take-race",
    sentence: "`take`: the key moves to the new one. Concurrent creators leave one holder.",
    async run({ backend, open }) {
      const old = await startSession(backend, { key: "k" });
      const nodes = [backend, await open()];
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, i) => (nodes[i % 2] as SessionBackend).create(creatingAs({ key: "k" }, "take"))),
      );
      const last = await holder(backend, { key: "k" });
      assert.notEqual(last, old.ref.id);
      assert.ok(
        answers.some(({ head }) => head.id === last),
        "the key belongs to nobody who took it",
      );
      assert.equal(await holder(nodes[1] as SessionBackend, { key: "k" }), last);
      for (const { head } of answers) await verifyLog(backend, head);
    },
  },
  {
    id: "keys/freed-by-delete",
    sentence: FREED,
    async run({ backend, open }) {
      const first = await backend.create(creatingAs({ key: "user:ada" }, "get"));
      const other = await open();
      await other.delete(first.head);
      const second = await backend.create(creatingAs({ key: "user:ada" }, "get"));
      assert.equal(second.created, true);
      assert.notEqual(second.head.id, first.head.id);
      assert.equal(await holder(other, { key: "user:ada" }), second.head.id);
      await other.delete(second.head);
      assert.equal((await other.create(creatingAs({ key: "user:ada" }))).created, true);
    },
  },
  {
    id: "keys/kept-by-new-owner",
    sentence: FREED,
    async run({ backend, open }) {
      const old = await startSession(backend, { key: "k" });
      const { head } = await backend.create(creatingAs({ key: "k" }, "take"));
      const other = await open();
      await other.delete(old.ref);
      for (const node of [backend, other]) assert.equal(await holder(node, { key: "k" }), head.id);
      await refused("KEY_EXISTS", () => other.create(creatingAs({ key: "k" })));
      assert.equal((await backend.list({})).items.length, 1);
    },
  },
  {
    id: "keys/delete-twice",
    sentence: `${FREED} Idempotent for the same incarnation.`,
    async run({ backend }) {
      const old = await startSession(backend, { key: "k" });
      await backend.delete(old.ref);
      const { head } = await backend.create(creatingAs({ key: "k" }, "get"));
      await backend.delete(old.ref);
      assert.equal(await holder(backend, { key: "k" }), head.id);
    },
  },
  {
    id: "keys/race-with-delete",
    sentence: "`getOrCreate` is the session under its key, also while it is deleted and made anew.",
    async run({ backend, open }) {
      const nodes = [backend, await open()] as const;
      for (let round = 0; round < 6; round++) {
        const { head } = await nodes[0].create(creatingAs({ key: "k" }, "get"));
        const [, ...answers] = await Promise.allSettled([
          nodes[1].delete(head),
          ...Array.from({ length: 6 }, (_, i) => (nodes[i % 2] as SessionBackend).create(creatingAs({ key: "k" }, "get"))),
        ]);
        for (const answer of answers) {
          if (answer.status === "rejected") assert.ok(isAixgoError(answer.reason), String(answer.reason));
        }
        const { items } = await nodes[0].list({});
        assert.ok(items.length <= 1, `${items.length} sessions have one key`);
        const now = await nodes[1].create(creatingAs({ key: "k" }, "get"));
        assert.notEqual(now.head.id, head.id, "a deleted session answers to its key");
        assert.equal(await holder(nodes[0], { key: "k" }), now.head.id);
      }
    },
  },
  {
    id: "keys/deleted-while-created",
    sentence: `${FREED} Also while a create of the same key is on its way.`,
    async run({ backend, open }) {
      const other = await open();
      for (const onKey of ["take", "get"] as const) {
        const key = `k-${onKey}`;
        const old = onKey === "take" ? await startSession(backend, { key }) : undefined;
        const own = createLog({ key });
        let meanwhile: Promise<string> | undefined;
        // The key's session goes: the one that has it, or one that another makes and deletes in this moment.
        const deleting = async (): Promise<string> => {
          const { ref } = old ?? { ref: (await other.create(creatingAs({ key }, "get"))).head };
          await other.delete(ref);
          return ref.id;
        };
        async function* lines(id: string): AsyncGenerator<Uint8Array> {
          const log = createLog({ key, id, incarnation: own.ref.incarnation });
          yield* log.lines;
          meanwhile ??= deleting();
          meanwhile.catch(() => undefined);
          // A store may make others wait until this create is done: both orders are right.
          await Promise.race([meanwhile, pause(ORDER_MS)]);
          yield* log.add(message("on its way"));
        }
        const { values, errors } = await outcomes([backend.create({ ref: own.ref, info: own.info, onKey, lines })]);
        for (const error of errors) assert.ok(isAixgoError(error, "SESSION_DELETED"), String(error));
        assert.ok(onKey === "get" || values.length === 1, "who takes a key does not get it, because its holder was deleted meanwhile");
        const gone = await meanwhile;
        await refused("SESSION_DELETED", () => other.head(String(gone)));
        const alive = values.find(({ head }) => head.id !== gone);
        const next = await other.create(creatingAs({ key }, "get"));
        assert.notEqual(next.head.id, gone, "a deleted session answers to its key");
        assert.equal(next.created, alive === undefined, "the session that was created does not have its key");
        if (alive !== undefined) assert.equal(next.head.id, alive.head.id);
        assert.equal(await holder(backend, { key }), next.head.id);
        for (const { id } of (await other.list({})).items) await verifyLog(other, await other.head(id));
      }
    },
  },
];
