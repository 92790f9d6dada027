import { createSessionManager } from "@aixgo/session";
import { createFileBackend } from "../../src/index.ts";

/**
 * Runs turns on one session beside other processes. Says a line for each answer that it was given. With `hang` it stays in the
 * middle of its first turn until it is killed; with `write` it goes on storing steps there, with a lease of five seconds, and
 * says the code of the error that ends the turn.
 */
const [baseDir, sessionId, name, turns, mode] = process.argv.slice(2) as [string, string, string, string, string | undefined];
const sessions = createSessionManager({ backend: createFileBackend({ baseDir }), ...(mode === "write" ? { leaseMs: 5_000 } : {}) });
const session = await sessions.get(sessionId);

for (let turn = 0; turn < Number(turns); turn += 1) {
  // An append may be refused, or the renewal of the lease that is due at the same time: either ends the turn.
  const reply = await session
    .turn(
      `${name}.${turn}`,
      async (open) => {
        await open.append(`${name}.${turn} step`);
        if (mode === "hang") {
          process.stdout.write("hanging\n");
          await new Promise((resolve) => setTimeout(resolve, 600_000));
        }
        for (let step = 0; mode === "write"; step += 1) {
          await open.append(`${name} late ${step}`);
          if (step === 0) process.stdout.write("writing\n");
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        return `${name}.${turn} answer`;
      },
      { turnKey: `${name}.${turn}` },
    )
    .catch((error: unknown) => {
      process.stdout.write(`${(error as { code?: string }).code}\n`);
      throw error;
    });
  process.stdout.write(`${reply.text}\n`);
}
await sessions.close();
