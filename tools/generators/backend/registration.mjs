/**
 * Text edits that keep everything else as it is: these files are read by people. Each returns the new text, or undefined if the
 * place could not be found, so that the caller says what is to be added by hand.
 */

/** Adds a project to the references of the root `tsconfig.json`, behind the last one of its kind. @param {string} text @param {string} directory */
export function withReference(text, directory) {
  const line = `    { "path": ${JSON.stringify(directory)} }`;
  if (text.includes(`"path": ${JSON.stringify(directory)} `)) return text;
  const [parent] = directory.split("/");
  const known = [...text.matchAll(/^ {4}\{ "path": "([^"]+)" \},?$/gm)];
  const before = known.findLast(([, path]) => path?.startsWith(`${parent}/`)) ?? known.at(-1);
  if (before?.index === undefined) return undefined;
  const [whole] = before;
  const at = before.index + whole.length;
  return whole.endsWith(",") ? `${text.slice(0, at)}\n${line},${text.slice(at)}` : `${text.slice(0, at)},\n${line}${text.slice(at)}`;
}

/** Lets a store of `packages/` import what stores may. Apps may import all. @param {string} text @param {string} directory */
export function withArrow(text, directory) {
  if (!directory.startsWith("packages/") || text.includes(`${JSON.stringify(directory)}:`)) return text;
  const known = [...text.matchAll(/^ {2}"packages\/[^"]+": STORE,$/gm)].at(-1);
  if (known?.index === undefined) return undefined;
  const at = known.index + known[0].length;
  return `${text.slice(0, at)}\n  ${JSON.stringify(directory)}: STORE,${text.slice(at)}`;
}
