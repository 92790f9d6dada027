/** Options of Stryker; the modules and tests of a run are arguments of its own, see main.mjs. */
export default {
  testRunner: "vitest",
  plugins: ["@stryker-mutator/vitest-runner"],
  vitest: { configFile: "tools/mutation.config.ts", related: false },
  ignorePatterns: ["dist", "/docs"],
  // Rewriting tsconfig files needs the API of the older compilers, and nothing here reads one.
  tsconfigFile: "no-tsconfig.json",
  tempDirName: ".artifacts/mutation/sandbox",
  coverageAnalysis: "perTest",
  // A constant of a module is read before a mutant can be switched on: it would be counted as survived though tests fail.
  ignoreStatic: true,
  concurrency: 2,
  timeoutMS: 10_000,
  timeoutFactor: 2,
  reporters: ["clear-text", "json", "progress-append-only"],
  jsonReporter: { fileName: ".artifacts/mutation/report.json" },
};
