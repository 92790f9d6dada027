import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Finding, row } from "../finding.ts";
import { counted } from "../measure.ts";
import type { Idle } from "../processes/idle.ts";

const IDLE = fileURLToPath(new URL("../processes/idle.js", import.meta.url));
const SESSIONS = 10_000;
const PATIENCE_MS = 120_000;

/** What 10,000 sessions keep in memory when nothing happens any more, measured in a process of their own after a collection. */
export async function memoryRows(): Promise<readonly Finding[]> {
  const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", IDLE, String(SESSIONS)], { timeout: PATIENCE_MS });
  const { held, dropped, line } = JSON.parse(stdout) as Idle;
  const facts = { unit: "bytes" as const, against: "one stored line", floor: counted(line) };
  return [
    row({
      id: "idle-session-held",
      what: `memory of one of ${SESSIONS} idle sessions whose handle is kept, files`,
      ...facts,
      ours: counted(held),
    }),
    row({
      id: "idle-session-dropped",
      what: `memory of one of ${SESSIONS} idle sessions whose handle is gone, files`,
      ...facts,
      ours: counted(dropped),
    }),
  ];
}
