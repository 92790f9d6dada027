import type { Store } from "./store.ts";

/** Taken away by one statement: long logs go piece by piece, each within the deadline. */
const LINES = 500;

/** Takes the lines of a log away that no session names. */
export async function purgeLog({ connections, statements }: Store, doing: string, log: string): Promise<void> {
  if (log === "0") return;
  for (;;) {
    const [row] = await connections.run({ doing, effect: "read", text: statements.purge, values: [log, LINES] });
    if (row?.["done"] !== false) return;
  }
}

/** What others left behind: creates that broke off more than a day ago, logs of deleted sessions whose node died. A few at a time. */
export async function purgeLooseLogs(store: Store): Promise<void> {
  const doing = "clear away what nothing names";
  const rows = await store.connections.run({ doing, effect: "read", text: store.statements.looseLogs });
  for (const { log } of rows) await purgeLog(store, doing, String(log));
}
