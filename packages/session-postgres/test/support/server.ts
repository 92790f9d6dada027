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
