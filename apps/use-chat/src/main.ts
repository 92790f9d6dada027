import { createOfflineModel } from "./offline-model.ts";
import { startServer } from "./server.ts";

/** `main.js DIR [PORT]`: serves chats until it is told to stop. */
const [baseDir, port = "8787"] = process.argv.slice(2);
if (baseDir === undefined || !/^\d{1,5}$/.test(port) || Number(port) > 65_535) {
  process.stderr.write("usage: main.js DIR [PORT], where DIR is the folder of the chats and PORT is 0 to 65535 (8787)\n");
  process.exitCode = 2;
} else {
  try {
    const server = await startServer({ baseDir, model: createOfflineModel(), port: Number(port) });
    process.stdout.write(`${server.url}\n`);
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void server.close());
  } catch (error) {
    process.stderr.write(`use-chat: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
