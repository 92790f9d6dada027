export { runtimeSuite, runRuntimeCases } from "./testing/suite.ts";
export type { RuntimeCaseResult, RuntimeFactory, SuiteRunner } from "./testing/suite.ts";
export { runtimeCases } from "./testing/cases/index.ts";
export type { CaseContext, RuntimeCase } from "./testing/case.ts";
