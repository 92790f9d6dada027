/** The mark that gives a block its file name. */
const FILE = /^file=([a-z][a-z0-9-]*\.ts)$/;

/**
 * @typedef {object} Block a piece of TypeScript in a page
 * @property {string} file
 * @property {number} line of its fence
 * @property {string} code
 * @property {boolean} runs marked `ts run`
 * @property {string | undefined} name of its file, given by `ts file=name.ts`: what other blocks of the page import it by
 */

/**
 * The TypeScript blocks of a page: ```ts is compiled, ```ts run is run too, ```ts continue goes on where the one before ended,
 * ```ts file=fixture.ts is what other blocks of its page import as ./fixture.js.
 * @param {string} file @param {string} text @returns {Block[]}
 */
export function blocksOf(file, text) {
  /** @type {Block[]} */
  const blocks = [];
  /** @type {{ fence: string, line: number, words: string[] | undefined, code: string[] } | undefined} */
  let open;
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (open === undefined) {
      const fence = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/.exec(line);
      if (fence === null) continue;
      const [language, ...words] = (fence[2] ?? "").trim().split(/\s+/);
      open = {
        fence: /** @type {string} */ (fence[1]),
        line: index + 1,
        words: language === "ts" || language === "typescript" ? words : undefined,
        code: [],
      };
    } else if (line.trim().startsWith(open.fence) && line.trim().replaceAll(/[`~]/g, "") === "") {
      if (open.words !== undefined) add(open.words, open.line, open.code);
      open = undefined;
    } else open.code.push(line);
  }
  if (open?.words !== undefined) throw new Error(`${file}:${open.line}: the code block is never closed`);
  return blocks;

  /** @param {readonly string[]} words @param {number} line @param {readonly string[]} code */
  function add(words, line, code) {
    const unknown = words.find((word) => word !== "run" && word !== "continue" && !FILE.test(word));
    if (unknown !== undefined)
      throw new Error(`${file}:${line}: a code block may be marked run, continue or file=name.ts, not ${JSON.stringify(unknown)}`);
    const name = words.map((word) => FILE.exec(word)?.[1]).find((found) => found !== undefined);
    const before = blocks.at(-1);
    if (words.includes("continue")) {
      if (before === undefined) throw new Error(`${file}:${line}: there is no block before this one to continue`);
      before.code += `\n${code.join("\n")}`;
      before.runs ||= words.includes("run");
    } else blocks.push({ file, line, code: code.join("\n"), runs: words.includes("run"), name });
  }
}
