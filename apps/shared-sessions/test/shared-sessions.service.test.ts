import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startPostgres } from "@aixgo/repository-tools/services/postgres";
import { startRedis } from "@aixgo/repository-tools/services/redis";
import { describe, expect, it } from "vitest";

const run = promisify(execFile);
const MAIN = fileURLToPath(new URL("../dist/main.js", import.meta.url));

/** The program's output, without ids. */
async function story(url: string): Promise<string> {
  const { stdout } = await run(process.execPath, [MAIN, url], { timeout: 60_000 });
  return stdout.replace(/session [0-9a-f]{32}/, "session …");
}

const EXPECTED = `session …

Two processes continue one conversation in turn
  question 1 › node A: this is question 1, attempt 1
  question 2 › node B: this is question 2, attempt 1
  question 3 › node A: this is question 3, attempt 1
  question 4 › node B: this is question 4, attempt 1

Node A is killed in the middle of its next answer; node B is asked the same
  question 5 › node B: this is question 5, attempt 2

What the log says
  ✓ the hash chain of all 28 entries is valid
  ✓ each question is stored exactly once
  ✓ what node A had stored of its last answer is there
  ✓ node B went on with the same turn, as attempt 2
  ✓ asked once more, the log answers
nothing was lost
`;

describe("one conversation of two processes", () => {
  it("is continued and taken over through Redis", async () => {
    const server = await startRedis();
    try {
      expect(await story(server.url)).toBe(EXPECTED);
    } finally {
      await server.stop();
    }
  }, 120_000);

  it("is continued and taken over through PostgreSQL", async () => {
    const server = await startPostgres();
    try {
      expect(await story(server.url)).toBe(EXPECTED);
    } finally {
      await server.stop();
    }
  }, 120_000);

  it("without an address says how it is used", async () => {
    await expect(run(process.execPath, [MAIN])).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining("usage:") as string });
  });
});
