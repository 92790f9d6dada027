import { createHash } from "node:crypto";
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { isAixgoError } from "@aixgo/core";
import { createSessionManager } from "@aixgo/session";
import { openStore, type StoreName } from "../store.ts";

/**
 * Takes turns on one session as it is told: `turn <key>`; `hold <key>`, a turn that stays in the middle until `go`, and writes then;
 * `append <text>`; `stop <text>`, an append during which the process stops itself inside the store's lock (with the mutant of that name).
 */
interface TurnerTask {
  readonly store: StoreName;
  readonly session: string;
  readonly name: string;
  readonly leaseMs: number;
}

export type TurnerSaid =
  | { readonly kind: "ready" | "begun" | "appended" }
  | { readonly kind: "turned"; readonly text: string }
  | { readonly kind: "failed"; readonly code?: string; readonly message: string };

const { store, session: id, name, leaseMs } = JSON.parse(process.argv[2] as string) as TurnerTask;
const say = (said: TurnerSaid): void => void writeSync(1, `${JSON.stringify(said)}\n`);

const sessions = createSessionManager({ backend: await openStore(store), leaseMs });
const session = await sessions.get(id);
let go: () => void = () => undefined;

async function turn(key: string, hold: boolean): Promise<TurnerSaid> {
  const { text } = await session.turn(
    `${key} question`,
    async (open) => {
      await open.append(`${key} step of ${name}`);
      if (hold) {
        const told = new Promise<void>((resolve) => (go = resolve));
        say({ kind: "begun" });
        await told;
        await open.append(`${key} late step of ${name}`);
      }
      return `${key} answer of ${name}`;
    },
    { turnKey: key },
  );
  return { kind: "turned", text };
}

async function obey(order: string, argument: string): Promise<TurnerSaid> {
  if (order === "turn") return turn(argument, false);
  if (order === "hold") return turn(argument, true);
  if (order === "stop") Object.assign(globalThis, { aixgoStopInLock: createHash("sha1").update(id).digest("hex").slice(0, 2) });
  await session.append(argument);
  return { kind: "appended" };
}

say({ kind: "ready" });
for await (const line of createInterface({ input: process.stdin })) {
  const [order, argument] = line.split(" ", 2) as [string, string];
  if (order === "go") go();
  else
    obey(order, argument).then(say, (error: unknown) => {
      const message = error instanceof Error ? error.message : String(error);
      say({ kind: "failed", message, ...(isAixgoError(error) ? { code: error.code } : {}) });
    });
}
await sessions.close();
