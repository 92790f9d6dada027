import { fileURLToPath } from "node:url";
import type { ViteUserConfig } from "vitest/config";

/** What every package's vitest config starts from: sources of siblings instead of their `dist`, and a quiet, failing-by-default run. */
export const base: ViteUserConfig = {
  resolve: { conditions: ["@aixgo/source"] },
  ssr: { resolve: { conditions: ["@aixgo/source"] } },
  test: {
    include: ["test/**/*.test.ts"],
    setupFiles: [fileURLToPath(new URL("vitest.setup.ts", import.meta.url))],
    passWithNoTests: false,
    allowOnly: false,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // A machine may stop for a while: what is polled for has as long as any other test.
    expect: { poll: { timeout: 20_000 } },
    pool: "forks",
  },
};
