import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Session } from "@aixgo/session";
import { summary, timed } from "../measure.ts";
import { type Row, row } from "../finding.ts";
import { filled, inFolder, openStore } from "../stores.ts";

const READ_AND_PARSE = "read the file, split, JSON.parse";

export async function readRows(): Promise<readonly Row[]> {
  return [...(await historyOf100()), ...(await resumeOf10000())];
}

function parse(folder: string, session: Session): unknown[] {
  const lines = readFileSync(join(folder, "store", session.agentName, `${session.id}.jsonl`), "utf8").split("\n");
  lines.pop();
  return lines.map((line) => JSON.parse(line) as unknown);
}

/** Each cold read opens a session that this process has not read before, in a store that is open. */
function historyOf100(): Promise<readonly Row[]> {
  return inFolder(async (folder) => {
    const writer = openStore(folder, "os");
    const sessions: Session[] = [];
    for (let index = 0; index < 120; index += 1) sessions.push(await filled(writer, "a", 100));
    await writer.close();
    const reader = openStore(folder, "os");
    await (await reader.get((sessions[0] as Session).id)).messages();
    const cold: number[] = [];
    const warm: number[] = [];
    const floor: number[] = [];
    for (const session of sessions.slice(1)) {
      floor.push(await timed(() => parse(folder, session)));
      const handle = await reader.get(session.id);
      cold.push(await timed(() => handle.messages()));
      warm.push(await timed(() => handle.messages()));
    }
    await reader.close();
    const below = summary(floor.slice(20));
    return [
      row({
        id: "history-100-cold",
        what: "history of 100 messages, first read",
        against: READ_AND_PARSE,
        ours: summary(cold.slice(20)),
        floor: below,
        target: 2,
      }),
      row({
        id: "history-100-warm",
        what: "history of 100 messages, again",
        against: READ_AND_PARSE,
        ours: summary(warm.slice(20)),
        floor: below,
        target: 0.1,
      }),
    ];
  });
}

/** Each read is made by a manager that has never seen the session. */
function resumeOf10000(): Promise<readonly Row[]> {
  return inFolder(async (folder) => {
    const writer = openStore(folder, "os");
    const session = await filled(writer, "a", 10_000);
    await filled(writer, "a", 1);
    await writer.close();
    const resume = async (last?: number): Promise<number> => {
      const reader = openStore(folder, "os");
      for await (const other of reader.listAll({ limit: 1 })) if (other.id !== session.id) await reader.get(other.id);
      const time = await timed(async () => (await reader.get(session.id)).messages(last === undefined ? {} : { last }));
      await reader.close();
      return time;
    };
    await resume();
    await resume(100);
    const whole: { ours: number[]; floor: number[]; last: number[] } = { ours: [], floor: [], last: [] };
    for (let round = 0; round < 9; round += 1) {
      whole.floor.push(await timed(() => parse(folder, session)));
      whole.ours.push(await resume());
      whole.last.push(await resume(100));
    }
    const ours = summary(whole.ours);
    return [
      row({
        id: "resume-10000",
        what: "resume 10,000 messages in a new process' manager",
        against: READ_AND_PARSE,
        ours,
        floor: summary(whole.floor),
        target: 2,
      }),
      row({
        id: "resume-10000-last-100",
        what: "the last 100 of 10,000",
        against: "the whole of it",
        ours: summary(whole.last),
        floor: ours,
        target: 0.05,
      }),
    ];
  });
}
