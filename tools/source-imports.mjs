import { parseSync } from "oxc-parser";

/**
 * @typedef {object} SourceImport
 * @property {string | undefined} specifier undefined: computed when it runs
 * @property {number} line
 * @property {boolean} onlyTypes nothing of it is left when it runs
 */

/**
 * Every import, re-export and `import()` of a module, read by a parser: comments and strings do not count.
 * @param {string} file its ending says the language @param {string} source @returns {SourceImport[]}
 */
export function importsOf(file, source) {
  const { module, program, errors } = parseSync(file, source);
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]?.message}`);
  /** @param {number} at */
  const lineOf = (at) => source.slice(0, at).split("\n").length;
  /** @type {SourceImport[]} */
  const found = [];
  for (const each of module.staticImports) {
    found.push({
      specifier: each.moduleRequest.value,
      line: lineOf(each.start),
      onlyTypes: each.entries.length > 0 && each.entries.every((entry) => entry.isType),
    });
  }
  // `import { a } from "x"; export { a };` is told as an export from "x" as well.
  const imported = new Set(module.staticImports.map((each) => each.moduleRequest.start));
  for (const each of module.staticExports) {
    const request = each.entries.find((entry) => entry.moduleRequest)?.moduleRequest;
    if (request && !imported.has(request.start))
      found.push({ specifier: request.value, line: lineOf(each.start), onlyTypes: each.entries.every((entry) => entry.isType) });
  }
  for (const each of module.dynamicImports) {
    const literal = /^(["'`])([^"'`$]*)\1$/.exec(source.slice(each.moduleRequest.start, each.moduleRequest.end));
    found.push({ specifier: literal?.[2], line: lineOf(each.start), onlyTypes: false });
  }
  for (const specifier of typeImports(program)) found.push({ specifier: specifier.value, line: lineOf(specifier.start), onlyTypes: true });
  return found;
}

/** `import("x").Y` in a type. @param {unknown} program @returns {Generator<{ value: string, start: number }>} */
function* typeImports(program) {
  /** @type {unknown[]} */
  const open = [program];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (typeof node !== "object" || node === null) continue;
    const { type, source } = /** @type {{ type?: string, source?: { value?: unknown, start: number } }} */ (node);
    if (type === "TSImportType" && typeof source?.value === "string") yield { value: source.value, start: source.start };
    open.push(...Object.values(node).filter((child) => typeof child === "object"));
  }
}
