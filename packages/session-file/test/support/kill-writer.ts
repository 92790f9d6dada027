import { open } from "./writer.ts";
import { LineWriter } from "./writer.ts";

/** Appends to one session until it is killed, and says on its output what was acknowledged. */
const [, , store, id, incarnation, name] = process.argv as [string, string, string, string, string, string];
const backend = open(store, { durability: "disk" });
const ref = { id, incarnation };
for (let i = 0; ;) {
  const head = await backend.head(id);
  const next = LineWriter.after(ref, head, head.info.messageCount);
  const lines =
    i % 3 === 2 ? next.batch([`${name}:${i}`, `${name}:${i}b`], { sync: head.seq }) : [next.message(`${name}:${i}`, { sync: head.seq })];
  const answer = await backend.append(ref, { expect: head, lines });
  if ("conflict" in answer) continue;
  process.stdout.write(`${name}:${i}\n`);
  i++;
}
