// Runs the demo, and writes what it prints, with its real timing, as an animated picture: docs/demo-crash.svg.
// A picture rather than a film: it is text, it is small, it is sharp at every size, and it follows light and dark.
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("./dist/main.js", import.meta.url));
const TARGET = fileURLToPath(new URL("../../docs/demo-crash.svg", import.meta.url));
const COMMAND = "$ npm run demo:crash";

/** Milliseconds: before the first line, and for the last picture to be read before all begins anew. */
const LEAD_MS = 800;
const HOLD_MS = 7_000;
const COLUMNS = 100;
const CHARACTER = { width: 8.4, height: 20, size: 14 };
const PADDING = 18;
const TITLE_HEIGHT = 30;

/** The demo's colours, by their number in a terminal. */
const CLASSES = { 1: "bold", 2: "dim", 31: "red", 32: "green", 33: "yellow", 36: "cyan" };
const ENDS = { 22: ["bold", "dim"], 39: ["red", "green", "yellow", "cyan"] };

const ESCAPE = String.fromCodePoint(0x1b);
/** A colour, a line's end, or text. */
const TOKEN = new RegExp(`${ESCAPE}\\[[\\d;]*m|\\n|[^${ESCAPE}\\n]+`, "g");

/** Each piece of the output with the time it came at. */
async function record() {
  const child = spawn(process.execPath, [MAIN], { env: { ...process.env, FORCE_COLOR: "1" }, stdio: ["ignore", "pipe", "inherit"] });
  const pieces = [];
  const began = performance.now();
  child.stdout.setEncoding("utf8").on("data", (text) => pieces.push({ at: LEAD_MS + performance.now() - began, text }));
  const code = await new Promise((resolve, reject) => child.once("error", reject).once("close", resolve));
  if (code !== 0) throw new Error(`the demo ended with ${code}; nothing was recorded`);
  return pieces;
}

/** Places every run of equal characters: line, column, classes, time. Long lines are broken between words. */
function layOut(pieces) {
  const runs = [];
  const styles = new Set();
  let line = 0;
  let column = 0;
  const place = (text, at) => {
    const classes = [...styles].join(" ");
    const last = runs.at(-1);
    if (
      last !== undefined &&
      last.line === line &&
      last.at === at &&
      last.classes === classes &&
      last.column + [...last.text].length === column
    )
      last.text += text;
    else runs.push({ line, column, classes, at, text });
    column += [...text].length;
  };
  place(COMMAND, 0);
  line += 1;
  column = 0;
  for (const { at, text } of pieces) {
    for (const token of text.match(TOKEN) ?? []) {
      if (token === "\n") {
        line += 1;
        column = 0;
      } else if (token.startsWith(ESCAPE)) {
        for (const number of token.slice(2, -1).split(";")) {
          if (CLASSES[number] !== undefined) styles.add(CLASSES[number]);
          for (const ended of ENDS[number] ?? []) styles.delete(ended);
        }
      } else {
        for (const word of token.match(/\s*\S+|\s+$/g) ?? []) {
          if (column > 0 && column + [...word].length > COLUMNS) {
            line += 1;
            column = 10;
            place(word.trimStart(), at);
          } else place(word, at);
        }
      }
    }
  }
  return { runs: runs.filter(({ text }) => text.trim() !== ""), lines: line };
}

function draw({ runs, lines }) {
  const width = Math.ceil(COLUMNS * CHARACTER.width + 2 * PADDING);
  const height = TITLE_HEIGHT + lines * CHARACTER.height + 2 * PADDING;
  const totalMs = Math.max(...runs.map(({ at }) => at)) + HOLD_MS;
  const times = [...new Set(runs.map(({ at }) => at))];
  const percent = (at) => Number(((at / totalMs) * 100).toFixed(2));
  const keyframes = times
    .map((at, index) =>
      at === 0 ? "" : `@keyframes k${index}{0%{opacity:0}${percent(at)}%,to{opacity:1}}.k${index}{animation-name:k${index}}`,
    )
    .join("\n");
  const texts = runs.map(({ line, column, classes, at, text }) => {
    const lead = text.length - text.trimStart().length;
    const shown = text.trim();
    const length = [...shown].length;
    const x = (PADDING + (column + lead) * CHARACTER.width).toFixed(1);
    const y = TITLE_HEIGHT + PADDING + line * CHARACTER.height + CHARACTER.size;
    const names = [`k${times.indexOf(at)}`, ...classes.split(" ").filter(Boolean)].join(" ");
    return `<text class="${names}" x="${x}" y="${y}" textLength="${(length * CHARACTER.width).toFixed(1)}">${escaped(shown)}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="A terminal: an agent is killed in the middle of a tool, another process goes on with its turn, and the log shows that nothing was lost">
<style>
svg{--back:#ffffff;--edge:#d0d7de;--text:#1f2328;--dim:#6e7781;--red:#cf222e;--green:#1a7f37;--yellow:#9a6700;--cyan:#0969da}
@media (prefers-color-scheme:dark){svg{--back:#0d1117;--edge:#30363d;--text:#e6edf3;--dim:#8b949e;--red:#ff7b72;--green:#56d364;--yellow:#e3b341;--cyan:#79c0ff}}
rect{fill:var(--back);stroke:var(--edge)}
text{fill:var(--text);font:${CHARACTER.size}px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre}
.bold{font-weight:700}.dim{fill:var(--dim)}.red{fill:var(--red)}.green{fill:var(--green)}.yellow{fill:var(--yellow)}.cyan{fill:var(--cyan)}
.dot{fill:var(--edge)}
@media (prefers-reduced-motion:no-preference){
text{animation:${(totalMs / 1000).toFixed(2)}s step-end infinite}
${keyframes}
}
</style>
<rect x=".5" y=".5" width="${width - 1}" height="${height - 1}" rx="8"/>
${[0, 1, 2].map((index) => `<circle class="dot" cx="${PADDING + 6 + index * 18}" cy="20" r="6"/>`).join("")}
${texts.join("\n")}
</svg>
`;
}

function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

const svg = draw(layOut(await record()));
writeFileSync(TARGET, svg);
process.stdout.write(`docs/demo-crash.svg: ${Math.ceil(Buffer.byteLength(svg) / 1024)} KiB\n`);
