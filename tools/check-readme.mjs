import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { runNode } from "./child.mjs";
import { blocksOf } from "./readme-blocks.mjs";
import { importsOf } from "./source-imports.mjs";
import { filesBelow, projects, ROOT, taskEnvironment, toolScript } from "./workspace.mjs";

const FOLDER = join(ROOT, ".artifacts", "readme");
const RUN_MS = 60_000;

/** Compiles every TypeScript block of the pages that people read, strictly, and runs those that say so, on what was built. @returns {Promise<{ problems: string[], compiled: number, ran: number }>} */
export async function checkReadmes() {
  const pages = ["README.md", ...projects().map(({ folder }) => `${folder}/README.md`), ...filesBelow("docs", [".md"])].filter((page) =>
    existsSync(join(ROOT, page)),
  );
  const blocks = pages.flatMap((page) => blocksOf(page, readFileSync(join(ROOT, page), "utf8")));
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(join(FOLDER, "node_modules"), { recursive: true });
  // A folder for each page, so that its blocks can import each other and no others.
  const named = blocks.map((block) => ({
    ...block,
    path: `${block.file.replaceAll(/[^A-Za-z0-9]+/g, "-")}/${block.name ?? `line-${block.line}.ts`}`,
  }));
  for (const block of named) {
    mkdirSync(dirname(join(FOLDER, block.path)), { recursive: true });
    // A module even without imports, so that names of different blocks do not meet and `await` is allowed.
    writeFileSync(join(FOLDER, block.path), `${block.code}\nexport {};\n`);
    for (const { specifier } of importsOf(block.path, block.code)) link(specifier, block.file);
  }
  writeFileSync(join(FOLDER, "package.json"), '{ "type": "module" }\n');
  writeFileSync(join(FOLDER, "tsconfig.json"), JSON.stringify(CONFIGURATION));
  const problems = [];
  const compiled = await runNode(toolScript("typescript", "tsc"), ["-p", FOLDER, "--pretty", "false"], { cwd: FOLDER });
  if (compiled.code !== 0) problems.push(withPlaces(compiled.output, named));
  let ran = 0;
  for (const block of named.filter(({ runs }) => runs)) {
    const home = mkdtempSync(join(tmpdir(), "aixgo-readme-"));
    try {
      const env = { ...taskEnvironment(), HOME: home, USERPROFILE: home };
      const { code, output } = await runNode(join(FOLDER, "out", block.path.replace(/\.ts$/, ".js")), [], {
        cwd: home,
        env,
        timeoutMs: RUN_MS,
      });
      if (code !== 0) problems.push(`${block.file}:${block.line}: the example failed\n${output}`);
      ran++;
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  }
  return { problems, compiled: blocks.length, ran };
}

/** What a reader's own project would have: Node's resolution of the built packages, and every strict flag. */
const CONFIGURATION = {
  compilerOptions: {
    target: "es2023",
    lib: ["es2023", "esnext.disposable"],
    types: ["node"],
    typeRoots: ["../../node_modules/@types"],
    module: "nodenext",
    moduleResolution: "nodenext",
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    verbatimModuleSyntax: true,
    skipLibCheck: true,
    outDir: "out",
    rootDir: ".",
  },
  include: ["*/*.ts"],
  exclude: ["out", "node_modules"],
};

/** Makes a package that a block imports resolvable from where the block is compiled. @param {string | undefined} specifier @param {string} page */
function link(specifier, page) {
  if (specifier === undefined || specifier.startsWith(".") || specifier.startsWith("node:")) return;
  const name = specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
  const target = join(FOLDER, "node_modules", name);
  if (existsSync(target)) return;
  const own = projects().find((project) => project.name === name);
  const hosts = [dirname(page), ".", ...projects().map(({ folder }) => folder)];
  const found =
    own === undefined
      ? hosts.map((host) => join(ROOT, host, "node_modules", name)).find((folder) => existsSync(folder))
      : join(ROOT, own.folder);
  if (found === undefined) return; // The compiler says so, with the place.
  mkdirSync(dirname(target), { recursive: true });
  symlinkSync(found, target, "junction");
}

/** Errors of the compiler, in lines of the pages. @param {string} output @param {readonly { path: string, file: string, line: number }[]} blocks */
function withPlaces(output, blocks) {
  return output.replaceAll(/^([\w/-]+\.ts)\((\d+),(\d+)\)/gm, (whole, path, line, column) => {
    const block = blocks.find((each) => each.path === path);
    return block === undefined ? whole : `${block.file}:${block.line + Number(line)}:${column}`;
  });
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { problems, compiled, ran } = await checkReadmes();
  for (const problem of problems) process.stdout.write(`${problem}\n`);
  process.stdout.write(`${compiled} code blocks compiled, ${ran} run\n`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
