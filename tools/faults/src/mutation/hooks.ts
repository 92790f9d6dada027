import { readFile } from "node:fs/promises";
import type { InitializeHook, LoadHook } from "node:module";
import { fileURLToPath } from "node:url";
import { applied, mutantNamed, type Change } from "./mutants.ts";

let changes: readonly Change[] = [];

export const initialize: InitializeHook<string> = (name) => {
  changes = mutantNamed(name).changes;
};

export const load: LoadHook = async (url, context, next) => {
  const mine = url.startsWith("file:") ? changes.filter(({ file }) => url.endsWith(`/packages/${file}`)) : [];
  if (mine.length === 0) return next(url, context);
  return { format: "module", shortCircuit: true, source: applied(await readFile(fileURLToPath(url), "utf8"), mine) };
};
