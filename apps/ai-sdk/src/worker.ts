import { createSessionManager } from "@aixgo/session";
import { createFileBackend } from "@aixgo/session-file";
import { ask } from "./ask.ts";
import { createModel } from "./model.ts";
import { createTools } from "./tools.ts";

/** One process that asks one question: `worker.js DIR TURN-KEY QUESTION [SLOW-CITY]`. */
const [baseDir, turnKey, question, slowCity] = process.argv.slice(2);
if (baseDir === undefined || turnKey === undefined || question === undefined)
  throw new Error("usage: worker.js DIR TURN-KEY QUESTION [SLOW-CITY]");
const say = (text: string): void => void process.stdout.write(text);

await using sessions = createSessionManager({ backend: createFileBackend({ baseDir }) });
const session = await sessions.getOrCreate("weather", "ada");
const reply = await ask(session, question, {
  model: createModel(),
  tools: createTools({ onCall: (city) => say(`  ⚙ weather ${city}\n`), ...(slowCity === undefined ? {} : { slowCity }) }),
  onText: say,
  turnKey,
});
say(reply.turn?.replayed === true ? `${reply.text} (answered from the log)\n` : "\n");
