import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const MAIN = fileURLToPath(new URL("../dist/main.js", import.meta.url));

it("prints the life of a session", async () => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [MAIN], { timeout: 25_000 });
  expect(stderr).toBe("");
  expect(stdout.replace(/[0-9a-f]{32}/g, "<id>")).toBe(`1. create a session, with metadata
   <id>
2. append: durable once the promise resolves
   version 2 after the first two; the third was sent twice and is there once:
   user: Monday: rain.
   assistant: Take an umbrella.
   user: Monday evening: still rain.
3. checkpoint
   "monday" at 3 messages
4. write on, then restore the checkpoint
   back at 3 messages
   user: Monday: rain.
   assistant: Take an umbrella.
   user: Monday evening: still rain.
   user: Tuesday: sun!
5. nothing was cut off: the other Tuesday is a branch in the log
   5 messages stored, 4 on the path
6. a second manager, as after a restart, resumes the session
   user: Monday: rain.
   assistant: Take an umbrella.
   user: Monday evening: still rain.
   user: Tuesday: sun!
   4 messages, metadata {"mood":"curious"}
7. code far below finds its session without being handed it
   appended to diary
8. one session for each user, whoever asks first
   asked twice at once: the same session
9. list the sessions of one user
   <id>: 5 messages
10. verify the hash chain
   9 entries, 0 problems
11. delete
   get answers SESSION_DELETED
`);
});
