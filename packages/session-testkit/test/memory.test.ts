import { describe, it } from "vitest";
import { testBackend } from "../src/index.ts";
import { expiringFixture } from "../src/mutants/expiring.ts";
import { failingOverFixture } from "../src/mutants/failing-over.ts";
import { memoryFixture } from "./memory-fixture.ts";

// Also what makes the mutants mean something: what wraps them, broken in nothing, passes every case.
testBackend({ describe, it }, memoryFixture("memory"));
testBackend(
  { describe, it },
  memoryFixture("memory with declared metadata", { indexedMetadata: ["topic", "colour"], maxLineBytes: 2 * 1024 * 1024 }),
);
testBackend({ describe, it }, expiringFixture("memory that expires"));
testBackend({ describe, it }, failingOverFixture("memory that is away for moments"));
