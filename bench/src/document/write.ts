import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { readResults } from "../results.ts";
import { CHARTS, documentOf } from "./document.ts";

const DOCS = new URL("../../../docs/", import.meta.url);

/** Writes docs/benchmarks.md and its charts from results.json; a chart that is no longer shown goes. */
export async function writeDocument(): Promise<void> {
  const files = await documentOf(readResults());
  const charts = new URL(`${CHARTS}/`, DOCS);
  mkdirSync(charts, { recursive: true });
  for (const name of readdirSync(charts)) if (!files.has(`${CHARTS}/${name}`)) rmSync(new URL(name, charts));
  for (const [name, text] of files) writeFileSync(fileURLToPath(new URL(name, DOCS)), text);
}
