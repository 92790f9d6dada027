import { defineConfig, mergeConfig } from "vitest/config";
import { base } from "../../vitest.base.ts";

export default mergeConfig(
  base,
  defineConfig({
    test: {
      globalSetup: ["test/requirements.ts"],
      // Rows wait for disks and processes more than they compute.
      maxWorkers: 2,
      // A row is one test: it runs as long as its number of faults needs.
      testTimeout: process.env["AIXGO_LONG"] === undefined ? 600_000 : 6 * 3_600_000,
      hookTimeout: 120_000,
    },
  }),
);
