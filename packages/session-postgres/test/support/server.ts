import { createHash, randomBytes } from "node:crypto";
import pg from "pg";

/** Address of the server that the run has started, as the superuser; with another database or user if they are given. */
export function serverUrl({
  database,
  user,
  password,
}: { readonly database?: string; readonly user?: string; readonly password?: string } = {}): string {
  const address = process.env["AIXGO_TEST_POSTGRES"];
  if (address === undefined) throw new Error("the tests of this package are run with its own configuration, which starts PostgreSQL");
  const url = new URL(address);
  if (database !== undefined) url.pathname = `/${database}`;
  if (user !== undefined) url.username = user;
  if (password !== undefined) url.password = password;
  return url.href;
}

/** A schema name for a store. */
export function schemaOf(store: string): string {
  return `s_${createHash("sha256").update(store).digest("hex").slice(0, 24)}`;
}

export function newName(prefix: string): string {
  return `${prefix}_${randomBytes(6).toString("hex")}`;
}

/** Runs SQL as an administrator. */
export async function sql(text: string, url: string = serverUrl(), values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  try {
    const result = (await client.query(text, values)) as pg.QueryResult | pg.QueryResult[];
    return (Array.isArray(result) ? result.at(-1) : result)?.rows ?? [];
  } finally {
    await client.end();
  }
}

/** Whether any row of a schema holds these bytes: as text, or as `bytea`, which is shown in hexadecimal digits. */
export async function findBytes(schema: string, bytes: Uint8Array, url: string = serverUrl()): Promise<boolean> {
  const tables = await sql("SELECT table_name FROM information_schema.tables WHERE table_schema = $1 AND table_type = 'BASE TABLE'", url, [
    schema,
  ]);
  const wanted = [Buffer.from(bytes).toString("utf8"), Buffer.from(bytes).toString("hex"), Buffer.from(bytes).toString("base64")];
  for (const { table_name: table } of tables) {
    const rows = await sql(
      `SELECT 1 FROM "${schema}"."${String(table)}" AS one WHERE EXISTS (SELECT 1 FROM unnest($1::text[]) AS wanted WHERE position(wanted IN one::text) > 0) LIMIT 1`,
      url,
      [wanted],
    );
    if (rows.length > 0) return true;
  }
  return false;
}
