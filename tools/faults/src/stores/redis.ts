import type { SessionBackend } from "@aixgo/session/backend";
import { createRedisBackend } from "@aixgo/session-redis";

/** `store` is the address of a server and, behind a `#`, a key prefix. */
export function openStore(store: string): SessionBackend {
  const [url, prefix] = store.split("#") as [string, string];
  return createRedisBackend({ url, keyPrefix: `${prefix}:` });
}
