import { createSessionManager } from "@aixgo/session";
import { createFileBackend } from "../../src/index.ts";

/**
 * Works on one session beside other processes. `append`: so many messages, one after the other. `attach`: stores an attachment,
 * says so, and stays there, with no entry that names it, until it is killed. `upload`: the same in the middle of its bytes.
 */
const [baseDir, sessionId, task, count] = process.argv.slice(2) as [string, string, string, string | undefined];
const sessions = createSessionManager({ backend: createFileBackend({ baseDir }) });
const session = await sessions.get(sessionId);

async function* bytes(): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < 16; i += 1) yield Buffer.alloc(64 * 1024, i);
  if (task !== "upload") return;
  process.stdout.write("uploading\n");
  await new Promise((resolve) => setTimeout(resolve, 600_000));
}

if (task === "append") for (let i = 0; i < Number(count); i += 1) await session.append(`${process.pid} ${i}`);
else {
  const { url } = await session.attach(bytes(), { mediaType: "application/octet-stream" });
  process.stdout.write(`${url}\n`);
  await new Promise((resolve) => setTimeout(resolve, 600_000));
}
await sessions.close();
