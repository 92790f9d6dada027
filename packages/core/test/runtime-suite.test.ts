import { describe, it } from "vitest";
import { createRuntime } from "../src/index.ts";
import { runtimeSuite } from "../src/testing.ts";

runtimeSuite({ describe, it }, createRuntime, { name: "createRuntime" });
