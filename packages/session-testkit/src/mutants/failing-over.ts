import { setTimeout as pause } from "node:timers/promises";
import { AixgoError } from "@aixgo/core";
import { createMemoryBackend } from "@aixgo/session";
import { fold, type Head, type SessionBackend } from "@aixgo/session/backend";
import type { Fixture } from "../fixture.ts";
import { type Flaw, MAX_LINE_BYTES, nodeOf, without } from "./mutant.ts";

export type FailoverFlaw = "loses appends" | "stays away" | "forgets leases";

const AWAY_MS = 60;

interface Server {
  readonly real: SessionBackend;
  isAway: boolean;
  failovers: number;
}

/** A memory backend that is away for a moment now and then, as a server is that was killed; with a flaw, it breaks one sentence about that. */
export function failingOverFixture(name: string, flaw?: FailoverFlaw): Fixture {
  const servers = new Map<string, Server>();
  return {
    name,
    offers: ["watch", "blobs"],
    async open(store) {
      const server = servers.get(store) ?? { real: createMemoryBackend({ maxLineBytes: MAX_LINE_BYTES }), isAway: false, failovers: 0 };
      servers.set(store, server);
      return nodeOf(server.real, connected(server, flaw));
    },
    async failover(store) {
      const server = servers.get(store) as Server;
      server.isAway = true;
      await pause(AWAY_MS);
      server.isAway = false;
      server.failovers += 1;
    },
    async destroy(store) {
      servers.delete(store);
    },
  };
}

function connected(server: Server, flaw: FailoverFlaw | undefined): Flaw {
  const { real } = server;
  const since = server.failovers;
  let sent = 0;

  function ready(): void {
    if (flaw === "stays away" && server.failovers > since) throw new AixgoError("BACKEND_CLOSED", "its connection is closed for good");
    if (server.isAway) throw new AixgoError("BACKEND_UNAVAILABLE", "the server is away");
  }

  return {
    create: async (request) => (ready(), real.create(request)),
    async head(id) {
      ready();
      const head = await real.head(id);
      return flaw === "forgets leases" && server.failovers > 0 ? without(head, "lease") : head;
    },
    async append(ref, request) {
      sent += 1;
      if (server.isAway && flaw === "loses appends")
        return { head: request.lines.reduce<Head>(fold, { ...(await real.head(ref.id)), ...request.expect, headSeq: request.expect.seq }) };
      if (server.isAway && sent % 2 === 0) {
        // Done, but nobody is told.
        await real.append(ref, request);
        throw new AixgoError("OUTCOME_UNKNOWN", "the connection broke");
      }
      ready();
      return real.append(ref, request);
    },
    async *read(ref, range) {
      ready();
      yield* real.read(ref, range);
    },
    find: async (ref, what) => (ready(), real.find(ref, what)),
    list: async (query) => (ready(), real.list(query)),
  };
}
