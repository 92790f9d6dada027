import { existsSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { pathToFileURL } from "node:url";
import { arrowsOf, LOADERS } from "./arrow-table.mjs";
import { findCycle } from "./cycles.mjs";
import { importsOf } from "./source-imports.mjs";
import { filesBelow, projects, ROOT } from "./workspace.mjs";

const CODE = [".ts", ".mts", ".mjs", ".js"];

/** Everything in a workspace that points where it must not, one line each. @returns {string[]} */
export function arrowProblems(root = ROOT) {
  const known = projects(root);
  const faces = new Map(
    known.map(({ name, manifest }) => [
      name,
      Object.keys(manifest.exports ?? {}).map((key) => (key === "." ? name : posix.join(name, key))),
    ]),
  );
  return [
    ...known.flatMap((project) => [...manifestProblems(project), ...codeProblems(root, project, known, faces)]),
    ...referenceProblems(root, known),
  ];
}

/** @param {import("./workspace.mjs").Project} project */
function manifestProblems({ folder, name, manifest }) {
  const allowed = arrowsOf(folder);
  if (allowed === undefined) return [`${folder}: the table of arrows does not know this package`];
  const file = `${folder}/package.json`;
  /** @type {string[]} */
  const problems = [];
  if (folder.startsWith("packages/") && name !== `@aixgo/${folder.slice("packages/".length)}`)
    problems.push(`${file}: the package is named ${name}`);
  for (const kind of ["dependencies", "peerDependencies", "optionalDependencies"]) {
    for (const dependency of Object.keys(manifest[kind] ?? {})) {
      if (!isOurs(dependency)) continue;
      if (!allowed.includes("*") && !allowed.some((face) => packageOf(face) === dependency))
        problems.push(`${file}: ${kind} may not hold ${dependency}`);
      if (!String(manifest[kind][dependency]).startsWith("workspace:"))
        problems.push(`${file}: ${dependency} must be taken from the workspace`);
    }
  }
  return problems;
}

/** @param {string} root @param {import("./workspace.mjs").Project} project @param {readonly import("./workspace.mjs").Project[]} known @param {ReadonlyMap<string, readonly string[]>} faces */
function codeProblems(root, { folder, name, manifest }, known, faces) {
  const allowed = arrowsOf(folder) ?? [];
  const declared = new Set(Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies, ...manifest.optionalDependencies }));
  /** @type {string[]} */
  const problems = [];
  /** @type {Map<string, string[]>} */
  const graph = new Map();
  // A project inside of another's folder is looked at by itself.
  const inner = known.filter((other) => other.folder !== folder && isWithin(other.folder, folder));
  for (const file of filesBelow(folder, CODE, root)) {
    if (inner.some((other) => isWithin(file, other.folder))) continue;
    const isShipped = file.startsWith(`${folder}/src/`);
    /** @type {string[]} */
    const targets = [];
    graph.set(file, targets);
    for (const { specifier, line } of importsOf(file, readFileSync(join(root, file), "utf8"))) {
      const place = `${file}:${line}`;
      if (specifier === undefined) {
        if (isShipped && folder.startsWith("packages/") && !LOADERS.includes(folder))
          problems.push(`${place}: an import must name its module`);
      } else if (specifier.startsWith(".")) {
        const target = posix.join(posix.dirname(file), specifier);
        if (isWithin(target, folder)) {
          if (isShipped && !isWithin(target, `${folder}/src`)) problems.push(`${place}: ${specifier} is not shipped with the package`);
          else if (existsSync(join(root, target))) targets.push(target);
          else problems.push(`${place}: there is no ${specifier}`);
        } else if (!isConfiguration(file, folder)) problems.push(`${place}: ${specifier} leaves the package`);
      } else if (specifier.startsWith("/") || specifier.startsWith("file:")) problems.push(`${place}: ${specifier} is an absolute path`);
      else if (isOurs(specifier)) {
        const target = packageOf(specifier);
        const known = faces.get(target);
        if (target === name) {
          if (isShipped) problems.push(`${place}: a package imports its own files by their path, not ${specifier}`);
        } else if (target.startsWith("@aixgo-apps/")) problems.push(`${place}: nothing imports apps, not ${specifier}`);
        else if (known === undefined) problems.push(`${place}: there is no package ${target}`);
        else if (!known.includes(specifier)) problems.push(`${place}: ${specifier} is not a face of ${target}`);
        // Tests may use what a package may not ship with, such as the conformance kit.
        else if (isShipped && !allowed.includes("*") && !allowed.includes(specifier))
          problems.push(`${place}: ${folder} may not import ${specifier}`);
        else if (isShipped && !declared.has(target))
          problems.push(`${place}: ${target} is not among the dependencies of ${folder}/package.json`);
      }
    }
  }
  const cycle = findCycle(graph);
  if (cycle !== undefined) problems.push(`${cycle.join(" → ")}: files import each other in a circle`);
  return problems;
}

/** The root project builds and checks what it references, and nothing else. @param {string} root @param {readonly import("./workspace.mjs").Project[]} known */
function referenceProblems(root, known) {
  const file = join(root, "tsconfig.json");
  if (!existsSync(file)) return [];
  const { references } = JSON.parse(readFileSync(file, "utf8"));
  const paths = new Set(/** @type {{ path: string }[]} */ (references).map(({ path }) => path));
  return known
    .filter(
      ({ folder }) =>
        folder !== "tools" &&
        existsSync(join(root, folder, "tsconfig.json")) &&
        filesBelow(`${folder}/src`, [".ts"], root).length > 0 &&
        !paths.has(folder),
    )
    .map(({ folder }) => `tsconfig.json: ${folder} is not among the references`);
}

/** @param {string} specifier */
function isOurs(specifier) {
  return specifier.startsWith("@aixgo/") || specifier.startsWith("@aixgo-apps/");
}

/** @param {string} specifier */
function packageOf(specifier) {
  return specifier.split("/").slice(0, 2).join("/");
}

/** @param {string} path @param {string} folder */
function isWithin(path, folder) {
  return path.startsWith(`${folder}/`);
}

/** `vitest.config.ts` and its like share the base at the root. @param {string} file @param {string} folder */
function isConfiguration(file, folder) {
  return dirname(file) === folder && /\.config\.[a-z]+$/.test(file);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const problems = arrowProblems();
  for (const problem of problems) process.stdout.write(`${problem}\n`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
