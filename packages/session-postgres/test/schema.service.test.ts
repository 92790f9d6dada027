import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createPostgresBackend, grantSql, migrationSql, SCHEMA_VERSION } from "@aixgo/session-postgres";
import { message, verifyLog } from "@aixgo/session-testkit";
import { fold, type Head } from "@aixgo/session/backend";
import { startRow } from "../src/creation.ts";
import { packLines } from "../src/lines.ts";
import { append, codeOf, creating, errorOf, startSession } from "./support/sessions.ts";
import { newName, serverUrl, sql } from "./support/server.ts";
import { createLog } from "@aixgo/session-testkit";

const database = newName("db");
const owner = serverUrl({ database });

beforeAll(async () => {
  await sql(`CREATE DATABASE "${database}"`);
});
afterAll(async () => {
  await sql(`DROP DATABASE "${database}" WITH (FORCE)`);
});

/** A role without any right of its own, and the address it logs in with. */
async function newRole(prefix: string): Promise<{ readonly role: string; readonly url: string }> {
  const role = newName(prefix);
  const password = randomBytes(12).toString("hex");
  await sql(`CREATE ROLE "${role}" LOGIN PASSWORD '${password}'`, owner);
  return { role, url: serverUrl({ database, user: role, password }) };
}

async function* chunksOf(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

describe("migrations", () => {
  it("the tables are made once, by whichever of several nodes comes first", async () => {
    const schema = newName("s");
    const nodes = Array.from({ length: 6 }, () => createPostgresBackend({ connectionString: owner, schema, maxConnections: 1 }));
    await Promise.all(nodes.map((node) => node.list({})));
    expect(await sql(`SELECT version FROM "${schema}".migrations ORDER BY version`, owner)).toEqual(
      Array.from({ length: SCHEMA_VERSION }, (_, i) => ({ version: i + 1 })),
    );
    await Promise.all(nodes.map((node) => node.close()));
  });

  it("one that breaks off half-way leaves nothing, and the next call makes it whole", async () => {
    const schema = newName("s");
    // The last function cannot be made: everything before it has been by then.
    await sql(
      `CREATE SCHEMA "${schema}"; CREATE FUNCTION "${schema}".purge_1(bigint, integer) RETURNS text LANGUAGE sql AS 'SELECT 1::text'`,
      owner,
    );
    const backend = createPostgresBackend({ connectionString: owner, schema });
    expect((await errorOf(() => backend.list({}))).code).toBe("BACKEND_UNAVAILABLE");
    expect(await sql("SELECT count(*)::int AS tables FROM pg_tables WHERE schemaname = $1", owner, [schema])).toEqual([{ tables: 0 }]);
    await sql(`DROP FUNCTION "${schema}".purge_1(bigint, integer)`, owner);
    expect((await backend.list({})).items).toEqual([]);
    await backend.close();
  });

  it("one whose connection is cut half-way leaves nothing, and the same backend makes it whole", async () => {
    const schema = newName("s");
    const blocker = newName("blocker");
    // Holds the lock that migrations wait for, so that there is something to cut.
    await sql(`CREATE SCHEMA "${blocker}"`, owner);
    const backend = createPostgresBackend({ connectionString: owner, schema, maxConnections: 1 });
    const { Client } = (await import("pg")).default;
    const holder = new Client({ connectionString: owner });
    await holder.connect();
    await holder.query("BEGIN");
    await holder.query(migrationSql(schema).split(";\n")[1] as string);
    const migrating = errorOf(() => backend.list({}));
    const cut = async (): Promise<number> => {
      const [row] = await sql(
        "SELECT count(pg_terminate_backend(pid))::int AS cut FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        owner,
      );
      return Number(row?.["cut"]);
    };
    for (let i = 0; (await cut()) === 0; i++) {
      if (i === 500) throw new Error("no migration waits for the lock");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect((await migrating).code).toBe("OUTCOME_UNKNOWN");
    await holder.query("ROLLBACK");
    await holder.end();
    expect((await backend.list({})).items).toEqual([]);
    await backend.close();
  });

  it("a newer schema is refused with the advice to update", async () => {
    const schema = newName("s");
    const first = createPostgresBackend({ connectionString: owner, schema });
    await first.list({});
    await sql(`INSERT INTO "${schema}".migrations (version) VALUES (${SCHEMA_VERSION + 1})`, owner);
    for (const migrate of [true, false]) {
      const old = createPostgresBackend({ connectionString: owner, schema, migrate });
      const error = await errorOf(() => old.head("any"));
      expect(error).toMatchObject({ code: "BACKEND_UNAVAILABLE", retryable: false });
      expect(error.message).toMatch(/Update aixgo/);
      await old.close();
    }
    await first.close();
  });

  it("tables of version 1 are brought up to date with all that is in them, by a node or by hand", async () => {
    for (const way of ["node", "by hand"]) {
      const schema = newName("s");
      const [versionOne = ""] = migrationSql(schema).split(`INSERT INTO "${schema}".migrations (version) VALUES (2)`);
      // All up to the record of version 1.
      const until = versionOne.indexOf("VALUES (1)") + "VALUES (1)".length;
      await sql(`${versionOne.slice(0, until)};\nCOMMIT`, owner);
      const log = createLog({ sync: true });
      const lines = log.add(message("of version 1"));
      const all = [log.lines[0] as Uint8Array, ...lines];
      const head = all.reduce<Head | undefined>(fold, undefined) as Head;
      const row = startRow(log.ref, { head, log: "0", rest: packLines(all) }, undefined);
      await sql(`SELECT "${schema}".create_1($1, 'refuse', $2, 1000)`, owner, [row, Buffer.concat(all)]);
      const checker = createPostgresBackend({ connectionString: owner, schema, migrate: false });
      const error = await errorOf(() => checker.list({}));
      expect(error).toMatchObject({ code: "BACKEND_UNAVAILABLE", retryable: false });
      expect(error.message).toContain(`version 1; this release needs ${SCHEMA_VERSION}`);
      expect(error.message).toContain(`migrationSql("${schema}", { from: 1 })`);
      if (way === "by hand") await sql(migrationSql(schema, { from: 1 }), owner);
      else {
        const node = createPostgresBackend({ connectionString: owner, schema });
        await node.list({});
        await node.close();
      }
      expect((await verifyLog(checker, log.ref)).lines.length).toBe(2);
      await append(checker, log, message("of this version"));
      const digest = await checker.blobs?.put(log.ref, undefined, chunksOf("an attachment"));
      await checker.delete(log.ref);
      expect(digest).toMatch(/^sha256-/);
      for (const table of ["entries", "blobs", "blob_chunks", "loose_blobs"])
        expect(await sql(`SELECT count(*)::int AS n FROM "${schema}".${table}`, owner)).toEqual([{ n: 0 }]);
      await checker.close();
    }
  });

  it("an older schema is refused without migrate, with the call that prints what is missing", async () => {
    const schema = newName("s");
    const checker = createPostgresBackend({ connectionString: owner, schema, migrate: false });
    const error = await errorOf(() => checker.list({}));
    expect(error).toMatchObject({ code: "BACKEND_UNAVAILABLE", retryable: false });
    expect(error.message).toContain(`migrationSql("${schema}")`);
    expect(await sql("SELECT count(*)::int AS schemas FROM pg_namespace WHERE nspname = $1", owner, [schema])).toEqual([{ schemas: 0 }]);
    // Done by hand, the same backend goes on.
    await sql(migrationSql(schema), owner);
    expect((await checker.list({})).items).toEqual([]);
    await checker.close();
    expect(migrationSql(schema, { from: SCHEMA_VERSION })).not.toMatch(/CREATE/);
    expect(() => migrationSql(schema, { from: SCHEMA_VERSION + 1 })).toThrow(/from/);
    expect(() => migrationSql('x"; DROP TABLE y; --')).toThrow(/schema/);
  });

  it("what the printed SQL makes is what a backend makes", async () => {
    const [own, printed] = [newName("s"), newName("s")];
    const backend = createPostgresBackend({ connectionString: owner, schema: own });
    await backend.list({});
    await backend.close();
    await sql(migrationSql(printed), owner);
    const shape = async (schema: string): Promise<string> => {
      const columns = await sql(
        "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema = $1 ORDER BY 1, ordinal_position",
        owner,
        [schema],
      );
      const indexes = await sql("SELECT indexdef FROM pg_indexes WHERE schemaname = $1 ORDER BY indexname", owner, [schema]);
      const functions = await sql(
        "SELECT proname, prosrc FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = $1 ORDER BY 1",
        owner,
        [schema],
      );
      return JSON.stringify([columns, indexes, functions]).replaceAll(schema, "S");
    };
    expect(await shape(printed)).toBe(await shape(own));
  });
});

describe("roles", () => {
  it("a role without DDL rights does all but migrate, once it has what grantSql gives", async () => {
    const schema = newName("s");
    const { role, url } = await newRole("app");
    const migrating = createPostgresBackend({ connectionString: url, schema });
    expect(await codeOf(() => migrating.list({}))).toBe("PERMISSION_DENIED");
    await sql(migrationSql(schema), owner);
    const backend = createPostgresBackend({ connectionString: url, schema, migrate: false });
    const denied = await errorOf(() => backend.list({}));
    expect(denied.code).toBe("PERMISSION_DENIED");
    await sql(grantSql(schema, role), owner);
    const log = await startSession(backend, { key: "k", tenantId: "acme" });
    await append(backend, log, message("one"));
    const { lines } = await verifyLog(backend, log.ref);
    expect(lines.length).toBe(2);
    const next = createLog({ id: log.ref.id, sync: true });
    await backend.rewrite(log.ref, {
      expect: log.position,
      next: next.ref,
      lines: (async function* () {
        yield* next.lines;
      })(),
    });
    await backend.delete(next.ref);
    expect(await codeOf(() => backend.head(log.ref.id))).toBe("SESSION_DELETED");
    // With migrate left on it works as well: there is nothing to migrate.
    expect((await migrating.list({})).items).toEqual([]);
    expect(() => grantSql(schema, 'x"; DROP ROLE y; --')).toThrow(/role/);
    await migrating.close();
    await backend.close();
  });

  it("row security by tenant: one tenant's role neither sees nor changes what is another's", async () => {
    const schema = newName("s");
    await sql(migrationSql(schema), owner);
    const [acme, zeta] = [await newRole("acme"), await newRole("zeta")];
    for (const { role } of [acme, zeta]) await sql(grantSql(schema, role), owner);
    for (const table of ["sessions", "entries", "keys", "tombstones", "loose_logs", "blobs", "blob_chunks", "loose_blobs"]) {
      await sql(
        `ALTER TABLE "${schema}".${table} ENABLE ROW LEVEL SECURITY; CREATE POLICY tenant ON "${schema}".${table} USING (tenant_id = current_user)`,
        owner,
      );
    }
    const nodes = [acme, zeta].map(({ url }) =>
      createPostgresBackend({ connectionString: url, schema, migrate: false, maxConnections: 2 }),
    );
    const [a, z] = nodes as [(typeof nodes)[0], (typeof nodes)[0]];
    const log = await startSession(a as never, { tenantId: acme.role, key: "k" });
    await append(a as never, log, message("mine", { op: "u:1" }));
    expect((await a?.list({}))?.items.length).toBe(1);
    const bytes = "x".repeat(2_000_000);
    const digest = (await a!.blobs?.put(log.ref, undefined, chunksOf(bytes))) as string;
    const read = async (node: typeof a): Promise<string> => {
      let text = "";
      for await (const chunk of node!.blobs!.get(log.ref, digest)) text += Buffer.from(chunk).toString("latin1");
      return text;
    };
    expect((await read(a)) === bytes).toBe(true);
    // Not even what is under it shows to another tenant's role.
    for (const table of ["blobs", "blob_chunks"]) {
      expect(await sql(`SELECT count(*)::int AS n FROM "${schema}".${table}`, zeta.url)).toEqual([{ n: 0 }]);
    }
    const thief = createLog({ sync: true, tenantId: zeta.role });
    expect((await z?.list({}))?.items).toEqual([]);
    expect((await z?.list({ tenantId: acme.role }))?.items).toEqual([]);
    const lines = log.branch().add(message("foreign"));
    for (const trial of [
      () => z!.head(log.ref.id),
      () => z!.find(log.ref, { op: "u:1" }),
      () => z!.read(log.ref)[Symbol.asyncIterator]().next(),
      () => z!.append(log.ref, { expect: log.position, lines }),
      () => z!.delete(log.ref),
      () => read(z),
      () => z!.blobs!.put(log.ref, digest, chunksOf(bytes)),
      () => z!.blobs!.touch(log.ref, digest),
      () => z!.blobs!.collect(log.ref, new Set(), 0),
      () => z!.create({ ...creating(thief), blobs: () => ({ from: log.ref, digests: new Set([digest]) }) }),
    ]) {
      expect(await codeOf(trial)).toBe("SESSION_NOT_FOUND");
    }
    // Writing for another tenant is refused, not hidden.
    expect(await codeOf(() => z!.create(creating(createLog({ tenantId: acme.role }))))).toBe("PERMISSION_DENIED");
    expect((await a!.head(log.ref.id)).seq).toBe(1);
    await a!.delete(log.ref);
    for (const table of ["entries", "blobs", "blob_chunks", "loose_blobs"])
      expect(await sql(`SELECT count(*)::int AS n FROM "${schema}".${table}`, owner)).toEqual([{ n: 0 }]);
    await Promise.all(nodes.map((node) => node.close()));
  });
});

it("a database in another encoding is refused before anything is made", async () => {
  const latin = newName("latin");
  await sql(`CREATE DATABASE "${latin}" ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`);
  try {
    const backend = createPostgresBackend({ connectionString: serverUrl({ database: latin }) });
    const error = await errorOf(() => backend.list({}));
    expect(error).toMatchObject({ code: "BACKEND_UNAVAILABLE", retryable: false });
    expect(error.message).toMatch(/LATIN1/);
    await backend.close();
  } finally {
    await sql(`DROP DATABASE "${latin}" WITH (FORCE)`);
  }
});
