// A node that appends to a session until it is killed, two messages at a time. Each line it prints is an op that was acknowledged.
// Plain JavaScript on the built packages: most of the life of such a process is its start.
import { createSessionManager } from "@aixgo/session";
import { createPostgresBackend } from "@aixgo/session-postgres";

const [connectionString, schema, id, tag] = process.argv.slice(2);
const sessions = createSessionManager({
  backend: createPostgresBackend({ connectionString, schema, maxConnections: 2 }),
  rebaseMs: 60_000,
});
const session = await sessions.get(id);
for (let i = 0; ; i += 1) {
  const op = `${tag}.${i}`;
  await session.append([`${op} first`, `${op} second`], { op });
  process.stdout.write(`${op}\n`);
}
