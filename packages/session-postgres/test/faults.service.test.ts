import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, chownSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { textOf } from "@aixgo/core";
import { createSessionManager } from "@aixgo/session";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createPostgresBackend } from "@aixgo/session-postgres";
import { startPostgres, type Postgres } from "@aixgo/repository-tools/services/postgres";
import { makeCertificates } from "@aixgo/repository-tools/services/certificates";
import { createLog, message, verifyLog } from "@aixgo/session-testkit";
import { append, codeOf, creating, errorOf, startSession } from "./support/sessions.ts";
import { newName, serverUrl, sql } from "./support/server.ts";

/** The address with a setting of the server for each connection. */
function withSetting(setting: string): string {
  const url = new URL(serverUrl());
  url.searchParams.set("options", `-c ${setting}`);
  return url.href;
}

/** Whom the servers of these tests run as. */
function serverUser(): number | undefined {
  return process.getuid?.() === 0 ? Number(execFileSync("id", ["-u", "postgres"], { encoding: "utf8" })) : undefined;
}

function giveToServer(...paths: readonly string[]): void {
  const uid = serverUser();
  if (uid !== undefined) for (const path of paths) chownSync(path, uid, -1);
}

it("a statement_timeout of the role ends a command for sure: nothing was written, and the same append works later", async () => {
  const schema = newName("s");
  const backend = createPostgresBackend({ connectionString: withSetting("statement_timeout=300"), schema });
  const log = await startSession(backend);
  const holder = new pg.Client({ connectionString: serverUrl() });
  await holder.connect();
  try {
    await holder.query("BEGIN");
    await holder.query(`SELECT 1 FROM "${schema}".sessions FOR UPDATE`);
    const lines = log.branch().add(message("waits"));
    const error = await errorOf(() => backend.append(log.ref, { expect: log.position, lines }));
    expect(error).toMatchObject({ code: "BACKEND_UNAVAILABLE", retryable: true });
    expect(error.message).toMatch(/statement_timeout.*nothing was written/);
  } finally {
    await holder.query("ROLLBACK");
    await holder.end();
  }
  await append(backend, log, message("works"));
  expect((await verifyLog(backend, log.ref)).lines.length).toBe(2);
  await backend.close();
  await sql(`DROP SCHEMA "${schema}" CASCADE`);
});

it.each(["serializable", "repeatable read"])(
  "nodes whose transactions are %s by default append to one session, and fork and delete, without a failure",
  async (level) => {
    const schema = newName("s");
    const connectionString = withSetting(`default_transaction_isolation=${level.replace(" ", "\\ ")}`);
    const managers = Array.from({ length: 4 }, () =>
      createSessionManager({ backend: createPostgresBackend({ connectionString, schema, maxConnections: 3 }), rebaseMs: 30_000 }),
    );
    const first = managers[0] as (typeof managers)[0];
    const { id } = await first.create("a");
    await Promise.all(
      managers.map(async (manager, node) => {
        const session = await manager.get(id);
        for (let i = 0; i < 10; i++) await session.append(`${node}.${i}`);
      }),
    );
    const session = await first.get(id);
    const texts = (await session.messages()).map(textOf);
    expect(texts.length).toBe(40);
    expect(new Set(texts).size).toBe(40);
    expect((await session.verify()).problems).toEqual([]);
    const forks = await Promise.all(managers.map(async (manager) => (await manager.get(id)).fork()));
    await Promise.all(forks.map(async (fork, i) => (managers[(i + 1) % 4] as typeof first).delete(fork.id)));
    expect((await first.list({})).items.map((info) => info.id)).toEqual([id]);
    await Promise.all(managers.map((manager) => manager.close()));
    await sql(`DROP SCHEMA "${schema}" CASCADE`);
  },
  120_000,
);

describe("TLS", () => {
  let folder: string;
  let server: Postgres;
  let authority: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "aixgo-tls-"));
    const { ca, cert, key } = await makeCertificates(folder, "localhost");
    authority = ca;
    // The server reads its key as another user, and refuses one that others may read.
    chmodSync(folder, 0o755);
    chmodSync(key, 0o600);
    giveToServer(key, cert);
    server = await startPostgres({ args: ["-c", "ssl=on", "-c", `ssl_cert_file=${cert}`, "-c", `ssl_key_file=${key}`] });
  }, 120_000);
  afterAll(async () => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it("with a certificate of another name, or of an authority that is not trusted, is refused before the password is sent", async () => {
    for (const [query, reason] of [
      [`sslmode=verify-full&sslrootcert=${authority}`, /TLS failed \(ERR_TLS_CERT_ALTNAME_INVALID\)/],
      ["sslmode=verify-full", /TLS failed/],
    ] as const) {
      const backend = createPostgresBackend({ connectionString: `${server.url}?${query}` });
      const error = await errorOf(() => backend.list({}));
      expect(error).toMatchObject({ code: "BACKEND_UNAVAILABLE", retryable: false });
      expect(error.message).toMatch(reason);
      expect(error.message).not.toContain(server.password);
      expect(error.message).not.toContain(folder);
      await backend.close();
    }
  });

  it("with the certificate of its name is used", async () => {
    const named = server.url.replace("127.0.0.1", "localhost");
    const backend = createPostgresBackend({ connectionString: `${named}?sslmode=verify-full&sslrootcert=${authority}` });
    const log = await startSession(backend);
    expect((await backend.head(log.ref.id)).seq).toBe(0);
    const ours = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'aixgo'";
    const rows = await sql(ours, server.url);
    expect(rows.length).toBeGreaterThan(0);
    expect(rows.every(({ ssl }) => ssl === true)).toBe(true);
    await backend.close();
  });
});

const canMount = process.platform === "linux" && process.getuid?.() === 0;
describe.skipIf(!canMount)(canMount ? "a disk" : "a disk (skipped: mounting one needs root on Linux)", () => {
  it("that is full refuses appends, attachments and sessions for sure; all that was acknowledged is there, and it goes on when there is room", async () => {
    const disk = mkdtempSync(join(tmpdir(), "aixgo-disk-"));
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs", disk]);
    const [space, database] = [newName("small"), newName("db")];
    try {
      giveToServer(disk);
      await sql(`CREATE TABLESPACE "${space}" LOCATION '${disk}'`);
      await sql(`CREATE DATABASE "${database}"`);
      const connectionString = serverUrl({ database });
      await sql(`ALTER DATABASE "${database}" SET default_tablespace = "${space}"`);
      const backend = createPostgresBackend({ connectionString });
      const sessions = createSessionManager({ backend, rebaseMs: 50 });
      const session = await sessions.create("a");
      await sql("CREATE TABLE filler AS SELECT repeat(md5(n::text), 60) FROM generate_series(1, 1500) AS n", connectionString);
      const stored: string[] = [];
      let refused: unknown;
      for (let i = 0; i < 500 && refused === undefined; i++) {
        const text = `${i} ${randomBytes(30_000).toString("base64")}`;
        await session.append(text).then(
          () => stored.push(text),
          (error: unknown) => (refused = error),
        );
      }
      expect(refused).toMatchObject({ code: "BACKEND_UNAVAILABLE", message: expect.stringContaining("disk of the server is full") });
      expect(await codeOf(() => session.attach(randomBytes(2_000_000), { mediaType: "image/png" }))).toBe("BACKEND_UNAVAILABLE");
      const long = createLog({ sync: true });
      for (let i = 0; i < 3; i++) long.add(message(randomBytes(600_000).toString("base64")));
      expect(await codeOf(() => backend.create(creating(long)))).toBe("BACKEND_UNAVAILABLE");
      const texts = async (): Promise<string[]> => (await (await sessions.get(session.id)).messages()).map(textOf);
      expect((await texts()).length).toBe(stored.length);
      await sql("DROP TABLE filler", connectionString);
      const last = `after ${randomBytes(30_000).toString("base64")}`;
      await session.append(last);
      expect(await texts()).toEqual([...stored, last]);
      expect((await session.verify()).problems).toEqual([]);
      await sessions.close();
    } finally {
      await sql(`DROP DATABASE IF EXISTS "${database}" WITH (FORCE)`);
      await sql(`DROP TABLESPACE IF EXISTS "${space}"`);
      execFileSync("umount", ["-l", disk]);
      rmSync(disk, { recursive: true, force: true });
    }
  }, 120_000);
});
