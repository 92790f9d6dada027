import { describe, expect, it } from "vitest";
import { testBackend } from "@aixgo/session-testkit";
import { disk, os } from "./support/fixtures.ts";

for (const fixture of [disk, os]) {
  const { notApplicable } = testBackend({ describe, it }, fixture);
  it(`${fixture.name}: every case of the kit applies, but those of what it has not: expiry, and a server`, () => {
    expect(notApplicable.filter(({ reason }) => !/has no (?:openExpiring|failover)$/.test(reason))).toEqual([]);
  });
}
