import { startPostgres, type Postgres } from "@aixgo/repository-tools/services/postgres";

let server: Postgres | undefined;

/** One server for all files; each test has a schema, a database or a server of its own. The address travels in the environment, which children inherit. */
export async function setup(): Promise<void> {
  server = await startPostgres({ args: ["-c", "max_connections=200"] });
  process.env["AIXGO_TEST_POSTGRES"] = server.url;
}

export async function teardown(): Promise<void> {
  await server?.stop();
}
