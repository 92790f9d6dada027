import { createSessionManager, type SessionManager } from "@aixgo/session";
import { createPostgresBackend } from "@aixgo/session-postgres";
import { createRedisBackend } from "@aixgo/session-redis";

/** How long a silent process keeps its turn; short, so that the takeover need not be waited for. */
const LEASE_MS = 2000;

/** The store behind an address: `redis://…`, `rediss://…`, `postgres://…` or `postgresql://…`. */
export function openStore(url: string): SessionManager {
  const { protocol } = new URL(url);
  const isPostgres = protocol === "postgres:" || protocol === "postgresql:";
  const backend = isPostgres ? createPostgresBackend({ connectionString: url }) : createRedisBackend({ url });
  return createSessionManager({ backend, leaseMs: LEASE_MS });
}
