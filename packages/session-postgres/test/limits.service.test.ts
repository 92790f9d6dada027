import { describe, expect, it } from "vitest";
import { createPostgresBackend } from "@aixgo/session-postgres";
import { continueLog, createLog, message, verifyLog } from "@aixgo/session-testkit";
import { append, codeOf, creating, errorOf, startSession } from "./support/sessions.ts";
import { sql } from "./support/server.ts";
import { ownSchema } from "./support/own-schema.ts";

const { connectionString, schema, backend } = ownSchema();

describe("texts", () => {
  const hostile = [
    "a\u0000b",
    "\ud800 alone",
    "back\\slash",
    '"quoted", {braced}, (row)',
    "\\u0000",
    "é\u2028\u{1F99C}",
    "a\nb\tc",
    "NULL",
    "",
    " ",
    "'; DROP TABLE x; --",
    "\\",
    '\\"',
    "u:%_",
  ];

  it("any text round-trips in names, metadata, ops, ids, holders and reasons", async () => {
    for (const text of hostile) {
      const metadata = { topic: text, [`key ${text}`]: { deep: [text] } };
      const log = createLog({
        sync: true,
        agentName: `agent ${text}`,
        userId: `user ${text}`,
        tenantId: `tenant ${text}`,
        key: `key ${text}`,
        metadata,
      });
      const { head } = await backend.create(creating(log, "get"));
      expect(head.info).toMatchObject({
        agentName: `agent ${text}`,
        userId: `user ${text}`,
        tenantId: `tenant ${text}`,
        key: `key ${text}`,
        metadata,
      });
      expect(
        (await backend.create(creating(createLog({ agentName: `agent ${text}`, tenantId: `tenant ${text}`, key: `key ${text}` }), "get")))
          .head.id,
      ).toBe(log.ref.id);
      const { position } = log;
      const lines = log.add({ type: "turn", data: {}, op: `t:${text}`, id: `id ${text}`, turn: 1, fence: 1 });
      const acquire = { fence: 1, token: `token ${text}`, holder: `holder ${text}`, ttlMs: 60_000 };
      const taken = await backend.append(log.ref, { expect: position, lines, acquire });
      expect("head" in taken && taken.head.lease?.holder).toBe(`holder ${text}`);
      expect(await backend.find(log.ref, { op: `t:${text}` })).toBe(1);
      expect(await backend.find(log.ref, { entryId: `id ${text}` })).toBe(1);
      expect(await backend.cancel(log.ref, `reason ${text}`)).toBe(true);
      expect((await backend.renew(log.ref, { fence: 1, token: `token ${text}` }, 1000)).cancelRequested).toBe(`reason ${text}`);
      expect(await codeOf(() => backend.renew(log.ref, { fence: 1, token: `token ${text}x` }, 1000))).toBe("FENCED");
      for (const query of [
        { userId: `user ${text}` },
        { tenantId: `tenant ${text}` },
        { agentName: `agent ${text}` },
        { metadata: { topic: text } },
      ]) {
        expect((await backend.list(query)).items.map(({ id }) => id)).toContain(log.ref.id);
      }
      expect((await backend.list({ userId: `user ${text}`, metadata: { topic: text } })).items.length).toBe(1);
      await verifyLog(backend, log.ref);
    }
  });

  it("ids and ops that no session has are not found, whatever they hold; nothing of them becomes SQL", async () => {
    const log = await startSession(backend);
    for (const text of [...hostile, "x".repeat(100_000)]) {
      expect(await codeOf(() => backend.head(text))).toBe("SESSION_NOT_FOUND");
      expect(await backend.find(log.ref, { op: text })).toBeUndefined();
      expect(
        await codeOf(() =>
          backend.append({ id: log.ref.id, incarnation: text }, { expect: log.position, lines: log.branch().add(message("x")) }),
        ),
      ).toBe("INCARNATION_CHANGED");
      const odd = await backend.append(log.ref, { expect: { seq: 0, hash: text }, lines: log.branch().add(message("x")) });
      expect("conflict" in odd).toBe(true);
    }
  });

  it("long ops and ids are found by the whole text; what does not fit an index is refused by its name", async () => {
    const log = await startSession(backend);
    const long = "o".repeat(5000);
    await append(backend, log, message("a", { op: `${long}1`, id: `${long}a` }), message("b", { op: `${long}2`, id: `${long}b` }));
    expect(await backend.find(log.ref, { op: `${long}1` })).toBe(1);
    expect(await backend.find(log.ref, { op: `${long}2` })).toBe(2);
    expect(await backend.find(log.ref, { op: long })).toBeUndefined();
    expect(await backend.find(log.ref, { entryId: `${long}b` })).toBe(2);
    const wide = createLog({ userId: "u".repeat(5000) });
    const error = await errorOf(() => backend.create(creating(wide)));
    expect(error.code).toBe("LIMIT_EXCEEDED");
    expect(error.message).toContain("userId");
  });

  it("metadata as deep and as wide as JSON allows round-trips", async () => {
    let deep: unknown = "bottom";
    for (let i = 0; i < 2000; i++) deep = [deep];
    const wide = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`key ${i}`, i]));
    const log = await startSession(backend, { metadata: { ...wide, deep: deep as never } });
    expect((await backend.head(log.ref.id)).info.metadata).toEqual({ ...wide, deep });
    expect((await backend.list({ metadata: { "key 1999": 1999 }, scan: true })).items.map(({ id }) => id)).toEqual([log.ref.id]);
  });
});

describe("numbers", () => {
  it("versions, fences and ranges outside of what can be stored are answered, never passed on", async () => {
    const log = await startSession(backend);
    const lines = log.branch().add(message("x"));
    for (const seq of [-1, 1.5, Number.NaN, Number.MAX_SAFE_INTEGER, 2 ** 63]) {
      const code = await backend.append(log.ref, { expect: { seq, hash: log.position.hash }, lines }).then(
        (answer) => ("conflict" in answer ? "conflict" : "written"),
        (error: { code: string }) => error.code,
      );
      expect(["conflict", "ENTRY_CORRUPT"]).toContain(code);
    }
    for (const fence of [-1, 0, 1.5, Number.NaN, Number.MAX_SAFE_INTEGER, 2 ** 63]) {
      expect(await codeOf(() => backend.append(log.ref, { expect: log.position, lines, lease: { fence, token: "t" } }))).toBe("FENCED");
      expect(await codeOf(() => backend.renew(log.ref, { fence, token: "t" }, 1000))).toBe("FENCED");
    }
    for (const ttlMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e300]) {
      expect(
        await codeOf(() => backend.append(log.ref, { expect: log.position, lines, acquire: { fence: 1, token: "t", holder: "h", ttlMs } })),
      ).toBe("INVALID_INPUT");
    }
    for (const range of [{ from: -1 }, { to: -1 }, { limit: -1 }, { from: 0.5 }, { limit: Number.NaN }]) {
      expect(await codeOf(() => backend.read(log.ref, range)[Symbol.asyncIterator]().next())).toBe("INVALID_INPUT");
    }
    for await (const _ of backend.read(log.ref, { from: Number.MAX_SAFE_INTEGER })) throw new Error("there is nothing there");
    for (const limit of [0, -1, 1001, 2 ** 53, Number.NaN]) expect(await codeOf(() => backend.list({ limit }))).toBe("INVALID_OPTION");
    expect((await backend.head(log.ref.id)).seq).toBe(0);
  });

  it("a line of 16 MiB round-trips; one byte more is refused before anything is sent", async () => {
    const log = await startSession(backend);
    const frame = (log.branch().add(message(""))[0] as Buffer).length;
    const most = 16 * 1024 * 1024 - frame;
    expect(
      await codeOf(() => backend.append(log.ref, { expect: log.position, lines: log.branch().add(message("x".repeat(most + 1))) })),
    ).toBe("LIMIT_EXCEEDED");
    await append(backend, log, message("x".repeat(most)));
    await append(backend, log, message("after"));
    expect((await verifyLog(backend, log.ref)).lines[1]?.length).toBe(16 * 1024 * 1024);
  }, 60_000);
});

describe("many writers of one session", () => {
  it("each of 8 nodes gets its turn: after a second conflict the next append of a node is written", async () => {
    const nodes = Array.from({ length: 8 }, () => createPostgresBackend({ connectionString, schema, maxConnections: 2 }));
    const log = await startSession(backend);
    let most = 0;
    await Promise.all(
      nodes.map(async (node, writer) => {
        for (let i = 0; i < 12; i++) {
          let head = await node.head(log.ref.id);
          for (let conflicts = 0; ; conflicts++) {
            most = Math.max(most, conflicts);
            const next = continueLog(head, true);
            const { position } = next;
            const answer = await node.append(log.ref, {
              expect: position,
              lines: next.add(message(`${writer} ${i}`, { op: `${writer}:${i}` })),
            });
            if ("head" in answer) break;
            head = answer.conflict;
          }
        }
      }),
    );
    expect(most).toBeLessThanOrEqual(3);
    expect((await verifyLog(backend, log.ref)).lines.length).toBe(1 + 8 * 12);
    await Promise.all(nodes.map((node) => node.close()));
  }, 60_000);

  it("a writer that never comes back with its append holds nobody up for long, nor does one that closes", async () => {
    const [idle, other] = [createPostgresBackend({ connectionString, schema }), createPostgresBackend({ connectionString, schema })];
    const log = await startSession(backend);
    const stale = log.branch();
    await append(other, log, message("newer"));
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 2; i++) {
        const answer = await idle.append(log.ref, { expect: stale.position, lines: stale.branch().add(message("stale")) });
        expect("conflict" in answer && answer.conflict.seq).toBe(log.position.seq);
      }
      await append(other, log, message(`round ${round}`));
    }
    await idle.append(log.ref, { expect: stale.position, lines: stale.branch().add(message("stale")) });
    await idle.close();
    await append(other, log, message("after it has closed"));
    await other.close();
    const locks = await sql(
      "SELECT count(*)::int AS n FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE '%refusal%'",
    );
    expect(locks).toEqual([{ n: 0 }]);
  });
});
