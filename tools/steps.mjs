import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { arrowProblems } from "./check-arrows.mjs";
import { packageProblems } from "./check-packages.mjs";
import { checkReadmes } from "./check-readme.mjs";
import { runNode } from "./child.mjs";
import { projects, ROOT, toolScript } from "./workspace.mjs";

/**
 * @typedef {object} Outcome
 * @property {readonly string[]} problems none: the step passed
 * @property {string} [note] a fact worth a glance
 * @property {readonly string[]} [suites] projects whose tests ran; their reports are counted
 * @property {readonly string[]} [unlessTestsFail] problems that the failed tests of these reports explain; without any they stand, such as an unhandled rejection
 */

/** The name of the report that a project's tests leave, as its target declares it. @param {import("./workspace.mjs").Project} project */
function suiteOf({ folder, manifest }) {
  const report = /** @type {string[]} */ (manifest.nx.targets.test.outputs ?? []).find((output) => output.endsWith(".json"));
  if (report === undefined) throw new Error(`${folder}: its test target declares no report among its outputs`);
  return report.slice(report.lastIndexOf("/") + 1, -".json".length);
}

/** The checks of this repository, in order. @param {{ fast: boolean }} options @returns {readonly { name: string, work: () => Promise<Outcome> }[]} */
export function steps({ fast }) {
  const quick = [
    { name: "format", work: () => tool("oxfmt", ["--check", "."]) },
    // Before the lint, which asks the built declarations for types.
    { name: "build", work: () => nx(["run-many", "-t", "build"]) },
    { name: "lint", work: () => tool("oxlint", ["--type-aware", "--deny-warnings", "."]) },
    { name: "types of tests and tools", work: checkTestTypes },
    { name: "import arrows", work: async () => ({ problems: arrowProblems() }) },
    { name: "unused code and dependencies", work: () => tool("knip", ["--no-progress"]) },
    { name: "code in README files", work: checkReadmeCode },
  ];
  if (fast) return [...quick, { name: "fast tests", work: () => runTests({ fast }) }];
  return [
    ...quick,
    { name: "packed packages", work: async () => ({ problems: await packageProblems() }) },
    { name: "tests", work: () => runTests({ fast }) },
  ];
}

/** @param {string} name @param {readonly string[]} args @returns {Promise<Outcome>} */
async function tool(name, args) {
  const { code, output } = await runNode(toolScript(name), args);
  return { problems: code === 0 ? [] : [output] };
}

/** @param {readonly string[]} args @returns {Promise<Outcome>} */
async function nx(args) {
  const parallel = Math.max(1, Math.min(4, availableParallelism()));
  const { code, output } = await runNode(toolScript("nx"), [...args, `--parallel=${parallel}`, "--outputStyle=static"]);
  return { problems: code === 0 ? [] : [output] };
}

/** Sources are checked by their build; this checks all else that is TypeScript or says its types in comments. @returns {Promise<Outcome>} */
async function checkTestTypes() {
  /** @type {string[]} */
  const problems = [];
  for (const config of ["tsconfig.tests.json", "tools/tsconfig.json"]) {
    const { code, output } = await runNode(toolScript("typescript", "tsc"), ["-p", config, "--pretty", "false"]);
    if (code !== 0) problems.push(output);
  }
  return { problems };
}

/** @returns {Promise<Outcome>} */
async function checkReadmeCode() {
  const { problems, compiled, ran } = await checkReadmes();
  return { problems, note: `${compiled} blocks compiled, ${ran} run` };
}

/** Suites that start servers and processes have this tag in their package.json. */
const SLOW = "slow-tests";

/** @param {{ fast: boolean }} options @returns {Promise<Outcome>} */
async function runTests({ fast }) {
  const tested = projects()
    .filter(({ manifest }) => manifest.nx?.targets?.test !== undefined)
    .filter(({ manifest }) => !fast || manifest.nx.tags?.includes(SLOW) !== true);
  const problems = projects()
    .filter(({ folder, manifest }) => manifest.nx?.targets?.test === undefined && existsSync(join(ROOT, folder, "src")))
    .map(({ folder }) => `${folder} has no test target`);
  const { problems: failures } = await nx(["run-many", "-t", "test", ...(fast ? [`--exclude=tag:${SLOW}`] : [])]);
  const suites = tested.map(suiteOf);
  problems.push(
    ...tested
      .filter((project, index) => suites.indexOf(suiteOf(project)) !== index)
      .map(({ folder }) => `${folder} writes the report of another project`),
  );
  const isComplete = suites.every((suite) => existsSync(join(ROOT, ".artifacts", "test", `${suite}.json`)));
  return isComplete ? { problems, suites, unlessTestsFail: failures } : { problems: [...problems, ...failures], suites };
}
