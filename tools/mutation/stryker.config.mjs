/** Options of Stryker; the modules and tests of a run are arguments of its own, see main.mjs. */
export default {
  testRunner: "vitest",
  plugins: ["@stryker-mutator/vitest-runner"],
  vitest: { configFile: "tools/mutation.config.ts", related: false },
  ignorePatterns: ["dist", "/docs"],
  // Rewriting tsconfig files needs the API of the older compilers, and nothing here reads one; nothing here checks types either.
  tsconfigFile: "no-tsconfig.json",
  disableTypeChecks: false,
  tempDirName: ".artifacts/mutation/sandbox",
  coverageAnalysis: "perTest",
  // A constant of a module is read before a mutant can be switched on: it would be counted as survived though tests fail.
  ignoreStatic: true,
  // Mostly words of messages, which no test should repeat; what is decided by a text is mutated where it is compared.
  mutator: { excludedMutations: ["StringLiteral"] },
  concurrency: Number(process.env["AIXGO_MUTATION_WORKERS"] ?? 1),
  timeoutMS: 6_000,
  timeoutFactor: 1.5,
  reporters: ["json", "progress-append-only"],
  jsonReporter: { fileName: process.env["AIXGO_MUTATION_REPORT"] ?? ".artifacts/mutation/report.json" },
};
