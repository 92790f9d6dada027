import { writeSync } from "node:fs";
import { createSessionManager } from "@aixgo/session";
import { createRedisBackend } from "../../src/index.ts";

/** Waits for a line on its input, then appends to one session until it is killed, and says on its output what was acknowledged. */
const [, , url, keyPrefix, id, name] = process.argv as [string, string, string, string, string, string];
const session = await createSessionManager({ backend: createRedisBackend({ url, keyPrefix }) }).get(id);
writeSync(1, "ready\n");
await new Promise((resolve) => process.stdin.once("data", resolve));
for (let i = 0; ; i++) {
  const op = `${name}.${i}`;
  await session.append(op, { op });
  writeSync(1, `${op}\n`);
}
