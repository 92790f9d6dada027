import { describe, it } from "vitest";
import { testBackend } from "../src/index.ts";
import { memoryFixture } from "./memory-fixture.ts";

// Also what makes the mutants mean something: what wraps them, broken in nothing, passes every case.
testBackend({ describe, it }, memoryFixture("memory"));
testBackend(
  { describe, it },
  memoryFixture("memory with declared metadata", { indexedMetadata: ["topic", "colour"], maxLineBytes: 2 * 1024 * 1024 }),
);
