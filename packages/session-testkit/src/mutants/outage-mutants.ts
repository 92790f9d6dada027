import { expiringFixture, type ExpiryFlaw } from "./expiring.ts";
import { failingOverFixture, type FailoverFlaw } from "./failing-over.ts";
import { brokenFixture, type Mutant } from "./mutant.ts";

const WHOLE = "all of a session expires at once";

function expiry(name: string, sentence: string, flaw: ExpiryFlaw, mustFail = "ttl/expires-whole"): Mutant {
  return { name, sentence, mustFail: [mustFail], create: () => expiringFixture(name, flaw) };
}

function failover(name: string, sentence: string, flaw: FailoverFlaw, ...mustFail: readonly string[]): Mutant {
  return { name, sentence, mustFail, create: () => failingOverFixture(name, flaw) };
}

/** Stores that lose a session too early or too late: by time, or with their server. */
export const outageMutants: readonly Mutant[] = [
  {
    name: "declares that sessions expire, but cannot show it",
    sentence: "`ttl`: whether sessions may expire by themselves",
    mustFail: ["ttl/declared"],
    create: () =>
      brokenFixture("declares that sessions expire, but cannot show it", (real) => ({
        capabilities: { ...real.capabilities, ttl: true },
      })),
  },
  expiry("lets the log expire before the head", WHOLE, "log goes first"),
  expiry("keeps the key of an expired session", WHOLE, "key stays"),
  expiry("lists expired sessions", WHOLE, "list stays"),
  expiry("takes a late append to an expired session", "a late write is refused", "late append"),
  expiry("keeps the attachments of an expired session", WHOLE, "attachments stay"),
  expiry("counts the time from the creation", "so long after its last append", "never prolonged", "ttl/append-prolongs"),
  failover("loses what it acknowledged in a failover", "what was acknowledged is there", "loses appends", "failover/appends"),
  failover("does not connect again", "the open backend goes on by itself", "stays away", "failover/appends", "failover/records"),
  failover("keeps leases in the server's memory", "what lies beside the log is there as well", "forgets leases", "failover/records"),
];
