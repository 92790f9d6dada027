export { createPostgresBackend } from "./postgres-backend.ts";
export {
  DEFAULT_COMMAND_TIMEOUT_MS,
  DEFAULT_MAX_BLOB_BYTES,
  DEFAULT_MAX_CONNECTIONS,
  DEFAULT_MAX_LINE_BYTES,
  DEFAULT_SCHEMA,
} from "./options.ts";
export type { GivenPool, OwnConnections, PostgresBackendOptions } from "./options.ts";
export type { ListenOptions } from "./listener.ts";
export type { PostgresClient, PostgresPool } from "./pool.ts";
export { grantSql, migrationSql, SCHEMA_VERSION } from "./migrate.ts";
