import { writeSync } from "node:fs";
import { isAixgoError } from "@aixgo/core";
import { createSessionManager } from "@aixgo/session";
import { createRedisBackend } from "../../src/index.ts";

/** Waits for a line on its input, then appends to one session until it is killed, and says on its output what was acknowledged. */
const [, , url, keyPrefix, id, name] = process.argv as [string, string, string, string, string, string];
function retry(error: unknown): false {
  if (!isAixgoError(error) || !error.retryable) throw error;
  return false;
}

const session = await createSessionManager({ backend: createRedisBackend({ url, keyPrefix }) }).get(id);
writeSync(1, "ready\n");
await new Promise((resolve) => process.stdin.once("data", resolve));
for (let i = 0; ; i++) {
  const op = `${name}.${i}`;
  // On a busy machine the others may be faster for too long; the same op again is stored once.
  while (!(await session.append(op, { op }).then(() => true, retry)));
  writeSync(1, `${op}\n`);
}
