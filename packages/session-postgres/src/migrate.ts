import { AixgoError } from "@aixgo/core";
import type { Connections } from "./connection.ts";
import type { Row } from "./pool.ts";
import { migrations } from "./migrations/index.ts";
import { checkSchema, DEFAULT_SCHEMA, type ResolvedOptions } from "./options.ts";

/** Version of the schema that this release reads and writes. */
export const SCHEMA_VERSION: number = migrations.length;

/** "aixgo" in ASCII: the first half of the advisory lock, the second is the schema's name. */
const LOCK_SPACE = 0x6169_7867;
/** A migration may have to wait for another node's, or to build an index. */
const MIGRATION_MS = 10 * 60_000;
const LEAST_SERVER = 130_000;

/**
 * The SQL that makes the tables, or brings them up to date: one transaction, for administrators who apply it by hand. The
 * role of the backend then needs what `grantSql` gives, and `migrate: false`.
 *
 * @param options `from`: version of the schema that is there; 0, the default: none
 * @throws AixgoError `INVALID_OPTION`
 */
export function migrationSql(schema: string = DEFAULT_SCHEMA, options: { readonly from?: number } = {}): string {
  checkSchema(schema);
  const { from = 0 } = options;
  if (!Number.isSafeInteger(from) || from < 0 || from > SCHEMA_VERSION)
    throw new AixgoError("INVALID_OPTION", `option from must be a whole number from 0 to ${SCHEMA_VERSION}`);
  return [
    "BEGIN",
    lockSql(schema),
    ...(from === 0 ? [`CREATE SCHEMA IF NOT EXISTS "${schema}"`] : []),
    ...stepsFrom(schema, from),
    "COMMIT",
    "",
  ].join(";\n");
}

/**
 * The SQL that gives a role all that a backend with `migrate: false` needs, and no more: no DDL, no superuser.
 * @throws AixgoError `INVALID_OPTION`
 */
export function grantSql(schema: string, role: string): string {
  checkSchema(schema);
  if (typeof role !== "string" || !/^[A-Za-z_][A-Za-z0-9_$-]{0,62}$/.test(role))
    throw new AixgoError("INVALID_OPTION", "option role must be the name of a role");
  const to = `TO "${role}"`;
  return [
    `GRANT USAGE ON SCHEMA "${schema}" ${to}`,
    `GRANT SELECT, INSERT, UPDATE, DELETE ON "${schema}".sessions, "${schema}".entries, "${schema}".keys, "${schema}".tombstones, "${schema}".loose_logs, "${schema}".blobs, "${schema}".blob_chunks, "${schema}".loose_blobs ${to}`,
    `GRANT SELECT ON "${schema}".migrations ${to}`,
    `GRANT USAGE ON SEQUENCE "${schema}".log_ids, "${schema}".blob_ids ${to}`,
    `GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA "${schema}" ${to}`,
    "",
  ].join(";\n");
}

/** Looks at the server and the schema, and migrates if that is wanted. Safe with any number of nodes at once: one migrates, the others find it done. */
export async function prepareStore(connections: Connections, { schema, migrate, capabilities }: ResolvedOptions): Promise<void> {
  const doing = `open the schema ${schema}`;
  await checkServer(connections, doing, capabilities.durability);
  const version = await versionOf(connections, doing, schema);
  if (version === SCHEMA_VERSION) return;
  if (version > SCHEMA_VERSION) throw tooNew(doing, version);
  if (!migrate) {
    const state = version === 0 ? "does not hold the tables of sessions" : `has version ${version}; this release needs ${SCHEMA_VERSION}`;
    throw unusable(
      `${doing}: the schema ${state}, and migrate is false. Apply what migrationSql(${JSON.stringify(schema)}${version === 0 ? "" : `, { from: ${version} }`}) prints`,
      version,
    );
  }
  await applyMigrations(connections, schema);
}

async function applyMigrations(connections: Connections, schema: string): Promise<void> {
  const doing = `migrate the schema ${schema}`;
  const held = await connections.hold(doing, MIGRATION_MS);
  const query = (text: string): Promise<readonly Row[]> => held.query(text, [], "write");
  let isDone = false;
  try {
    await query("SET LOCAL synchronous_commit = on");
    await query(lockSql(schema));
    // Asked again under the lock: another node may have been faster.
    const [there] = await query(
      `SELECT to_regnamespace('"${schema}"') IS NOT NULL AS schema, to_regclass('"${schema}".migrations') IS NOT NULL AS migrations`,
    );
    const now = there?.["migrations"] === true ? Number((await query(latestSql(schema)))[0]?.["version"]) : 0;
    if (now > SCHEMA_VERSION) throw tooNew(doing, now);
    // CREATE SCHEMA asks for a right on the database even if there is nothing to create.
    if (there?.["schema"] !== true) await query(`CREATE SCHEMA "${schema}"`);
    for (const step of stepsFrom(schema, now)) await query(step);
    isDone = true;
  } finally {
    await held.end(isDone ? "COMMIT" : "ROLLBACK");
  }
}

/** What makes one version of the one before, with its own record. Each text is sent as it stands. */
function stepsFrom(schema: string, from: number): string[] {
  const table = `"${schema}".migrations`;
  return [
    ...(from === 0
      ? [`CREATE TABLE ${table} (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())`]
      : []),
    ...migrations.flatMap((sql, index) =>
      index < from ? [] : [...statementsOf(sql.replace(/\bS\./g, `"${schema}".`)), `INSERT INTO ${table} (version) VALUES (${index + 1})`],
    ),
  ];
}

/** Single statements: a server takes several in one text only without parameters, and some that behave like one take no more than one. */
function statementsOf(sql: string): string[] {
  const parts: string[] = [];
  let part = "";
  let inBody = false;
  for (const line of sql.split("\n")) {
    if (line.trim() === "" && part === "") continue;
    part += `${line}\n`;
    if ((line.match(/\$\$/g)?.length ?? 0) % 2 === 1) inBody = !inBody;
    if (!inBody && line.trimEnd().endsWith(";")) {
      parts.push(part.trimEnd().slice(0, -1));
      part = "";
    }
  }
  return parts;
}

function lockSql(schema: string): string {
  return `SELECT pg_advisory_xact_lock(${LOCK_SPACE}, hashtext('${schema}'))`;
}

function latestSql(schema: string): string {
  return `SELECT coalesce(max(version), 0)::text AS version FROM "${schema}".migrations`;
}

async function versionOf(connections: Connections, doing: string, schema: string): Promise<number> {
  const [there] = await connections.run({
    doing,
    effect: "read",
    text: `SELECT to_regclass('"${schema}".migrations') IS NOT NULL AS found`,
  });
  if (there?.["found"] !== true) return 0;
  const [row] = await connections.run({ doing, effect: "read", text: latestSql(schema) });
  return Number(row?.["version"]);
}

async function checkServer(
  connections: Connections,
  doing: string,
  durability: ResolvedOptions["capabilities"]["durability"],
): Promise<void> {
  const text = `SELECT current_setting('server_version_num')::text AS version, current_setting('server_encoding') AS encoding, current_setting('fsync') AS fsync, current_database() AS database`;
  const [row] = await connections.run({ doing, effect: "read", text });
  if (Number(row?.["version"]) < LEAST_SERVER)
    throw unusable(`${doing}: the server is older than PostgreSQL ${LEAST_SERVER / 10_000}. Update it`);
  if (row?.["encoding"] !== "UTF8")
    throw unusable(
      `${doing}: the database ${String(row?.["database"])} has the encoding ${String(row?.["encoding"])}. Create one with ENCODING 'UTF8'`,
    );
  if (durability === "disk" && row["fsync"] === "off") {
    throw unusable(
      `${doing}: the server runs with fsync = off, so nothing it acknowledges survives a power cut. Turn it on, or say durability: "os"`,
    );
  }
}

function tooNew(doing: string, version: number): AixgoError {
  return unusable(`${doing}: the schema has version ${version}; this release knows ${SCHEMA_VERSION}. Update aixgo on this node`, version);
}

function unusable(message: string, version?: number): AixgoError {
  return new AixgoError("BACKEND_UNAVAILABLE", message, {
    retryable: false,
    ...(version === undefined ? undefined : { details: { schemaVersion: version, supported: SCHEMA_VERSION } }),
  });
}
