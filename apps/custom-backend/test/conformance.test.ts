import { describe, expect, it } from "vitest";
import { testBackend } from "@aixgo/session-testkit";
import { disk, os } from "./support/fixtures.ts";

for (const fixture of [disk, os]) {
  const { notApplicable } = testBackend({ describe, it }, fixture);
  it(`${fixture.name}: every case of the kit applies, but for hints, which the session layer does without`, () => {
    expect(notApplicable.filter(({ reason }) => reason !== "the fixture does not offer watch")).toEqual([]);
  });
}
