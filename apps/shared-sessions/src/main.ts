import { textOf } from "@aixgo/core";
import { startNode } from "./node-process.ts";
import { openStore } from "./store.ts";

const url = process.argv[2];
if (url === undefined || !/^(rediss?|postgres(ql)?):\/\//.test(url)) {
  process.stderr.write(
    "usage: node apps/shared-sessions/dist/main.js redis://localhost:6379 (or postgres://user:password@host/database)\n",
  );
  process.exit(2);
}

const sessions = openStore(url);
const problems: string[] = [];
const check = (what: string, isRight: boolean): void => {
  process.stdout.write(`  ${isRight ? "✓" : "✗"} ${what}\n`);
  if (!isRight) problems.push(what);
};

try {
  const session = await sessions.create("assistant", { userId: "ada" });
  process.stdout.write(`session ${session.id}\n\nTwo processes continue one conversation in turn\n`);
  const [a, b] = await Promise.all([startNode(url, session.id, "node A"), startNode(url, session.id, "node B")]);
  for (const [index, node] of [a, b, a, b].entries()) {
    const { answer } = await node.ask({ text: `question ${index + 1}`, turnKey: `q${index + 1}` });
    process.stdout.write(`  question ${index + 1} › ${answer}\n`);
  }

  process.stdout.write("\nNode A is killed in the middle of its next answer; node B is asked the same\n");
  const last = { text: "question 5", turnKey: "q5" };
  await a.hang(last);
  a.kill();
  const taken = await b.ask(last);
  process.stdout.write(`  question 5 › ${taken.answer}\n`);
  const again = await b.ask(last);
  b.leave();

  process.stdout.write("\nWhat the log says\n");
  const texts = (await session.messages()).map(textOf);
  const { entries, problems: damage } = await session.verify();
  check(`the hash chain of all ${entries} entries is valid`, damage.length === 0);
  check(
    "each question is stored exactly once",
    [1, 2, 3, 4, 5].every((n) => texts.filter((text) => text === `question ${n}`).length === 1),
  );
  check("what node A had stored of its last answer is there", texts.includes('node A thinks about "question 5"'));
  check("node B went on with the same turn, as attempt 2", taken.answer === "node B: this is question 5, attempt 2");
  check("asked once more, the log answers", again.replayed === true && again.answer === taken.answer);
  await sessions.delete(session.id, { mode: "erase" });
} finally {
  await sessions.close();
}
process.stdout.write(problems.length === 0 ? "nothing was lost\n" : `${problems.length} checks failed\n`);
process.exitCode = problems.length === 0 ? 0 : 1;
