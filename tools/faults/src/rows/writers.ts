import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSessionManager } from "@aixgo/session";
import { messageText, readChain } from "../chain.ts";
import { startProgram } from "../program.ts";
import type { AppenderReport } from "../programs/appender.ts";
import type { RowResult } from "../result.ts";
import { openStore, type StoreName } from "../store.ts";

export interface WritersOptions {
  readonly writers: number;
  /** Of each writer. */
  readonly appends: number;
  readonly seed: number;
  readonly mutant?: string;
}

/** R7: several processes append to one session at once. */
export async function writersRow({ writers, appends, seed, mutant }: WritersOptions): Promise<RowResult> {
  const folder = mkdtempSync(join(tmpdir(), "aixgo-writers-"));
  const failures: string[] = [];
  const reports: AppenderReport[] = [];
  try {
    const store: StoreName = { kind: "file", store: folder };
    const backend = await openStore(store);
    const { id } = await createSessionManager({ backend }).create("shared");
    const programs = Array.from({ length: writers }, (_, i) =>
      startProgram("appender", { store, session: id, name: String(i), count: appends }, { mutant, patienceMs: 3_600_000 }),
    );
    await Promise.all(programs.map((program) => program.line(0)));
    const answers = await Promise.allSettled(programs.map((program) => program.ask("go")));
    for (const [i, answer] of answers.entries()) {
      if (answer.status === "fulfilled") reports.push(JSON.parse(answer.value) as AppenderReport);
      else failures.push(`writer ${i}: ${String(answer.reason)}`);
    }
    await Promise.all(programs.map((program) => program.kill()));
    await backend.close();
    failures.push(...(await misplaced(store, id, reports, 1 + writers * appends).catch((error: unknown) => [String(error)])));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const times = reports.map(({ totalMs }) => totalMs);
  const worst = Math.max(...reports.map(({ worstMs }) => worstMs));
  const refused = reports.reduce((sum, report) => sum + report.refused, 0);
  const note = `worst append ${worst.toFixed(0)} ms, slowest writer ${(Math.max(...times) / Math.min(...times)).toFixed(2)} × the fastest, ${Math.round((writers * appends) / (Math.max(...times) / 1000)).toLocaleString("en")} a second, ${refused} refused and made again`;
  return {
    row: "R7",
    subject: "files",
    fault: `${writers} processes append to one session`,
    unit: "appends",
    n: writers * appends,
    failures,
    note,
    seed,
  };
}

/** Messages that are not where their writers were told, and a log that is not as long as it must be. */
async function misplaced(store: StoreName, session: string, reports: readonly AppenderReport[], due: number): Promise<string[]> {
  const backend = await openStore(store);
  const pages: Uint8Array[] = [];
  for await (const page of backend.read(await backend.head(session))) pages.push(page);
  await backend.close();
  const lines = readChain(Buffer.concat(pages), undefined);
  const wrong = lines.length === due ? [] : [`the log has ${lines.length} lines, ${due} are due`];
  for (const [writer, { versions }] of reports.entries()) {
    for (const [i, seq] of versions.entries()) {
      const line = lines[seq];
      if (line === undefined || messageText(line) !== `${writer}.${i}`) wrong.push(`message ${writer}.${i} is not at ${seq}`);
    }
  }
  return wrong.slice(0, 20);
}
