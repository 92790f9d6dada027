import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { base } from "../vitest.base.ts";

/** The tests of `session`, started from the root: that is what is copied and broken. */
export default defineConfig({ ...base, root: fileURLToPath(new URL("../packages/session", import.meta.url)) });
