import assert from "node:assert/strict";

/** The same lines, byte for byte, in the same order. Says which one differs; a diff of long lines would need more memory than a process has. */
export function sameLines(
  actual: readonly Uint8Array[],
  expected: readonly Uint8Array[],
  what = "the lines are not those that were written",
): void {
  const differs = expected.findIndex((line, index) => !isSame(actual[index], line));
  if (differs >= 0)
    assert.fail(`${what}: line ${differs} of ${expected.length} ${actual[differs] === undefined ? "is missing" : "is another"}`);
  assert.equal(actual.length, expected.length, `${what}: there are more of them`);
}

function isSame(actual: Uint8Array | undefined, expected: Uint8Array): boolean {
  return actual !== undefined && Buffer.compare(actual, expected) === 0;
}
