import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { base } from "../vitest.base.ts";

/** The tests of the package whose module is broken, started from the root: that is what is copied and broken. */
export default defineConfig({
  ...base,
  root: fileURLToPath(new URL(`../${process.env["AIXGO_MUTATED"] ?? "packages/session"}`, import.meta.url)),
  test: {
    ...base.test,
    setupFiles: [base.test?.setupFiles ?? [], fileURLToPath(new URL("mutation.setup.ts", import.meta.url))].flat(),
    // A mutant that waits for ever is noticed by this.
    testTimeout: 5_000,
    hookTimeout: 5_000,
  },
});
