import { fold, type Head } from "@aixgo/session/backend";
import type { Fixture } from "../src/fixture.ts";
import { remoteFixture } from "./remote-fixture.ts";

// Imported by the tests and by the children that they start.

/** Right. */
export const remote: Fixture = remoteFixture("remote");

/** Acknowledges what it has not sent yet. */
export const early: Fixture = remoteFixture("acknowledges early", {
  client(real) {
    let last: Promise<unknown> = Promise.resolve();
    return {
      async append(ref, request) {
        const head: Head = await real.head(ref.id);
        if (head.hash !== request.expect.hash || request.acquire !== undefined) return real.append(ref, request);
        last = last.then(() => new Promise((resolve) => setTimeout(resolve, 2))).then(() => real.append(ref, request));
        last.catch(() => undefined);
        return { head: request.lines.reduce<Head>(fold, head) };
      },
    };
  },
});

/** Writes each batch twice: a client that sends again and a store that does not compare. */
export const blind: Fixture = remoteFixture("acknowledges conflicts", {
  server: (real) => ({
    async append(ref, request) {
      const answer = await real.append(ref, request);
      return "conflict" in answer ? { head: answer.conflict } : answer;
    },
  }),
});

/** A lease that is never free again. */
export const eternal: Fixture = remoteFixture("never lets a lease expire", {
  server: (real) => ({ renew: (ref, lease) => real.renew(ref, lease, 900_000) }),
});

/** The head of each client is its own. */
export const cached: Fixture = remoteFixture("caches heads", {
  client(real) {
    const heads = new Map<string, Head>();
    return {
      async head(id) {
        const head = heads.get(id) ?? (await real.head(id));
        heads.set(id, head);
        return head;
      },
    };
  },
});

/** Looks for the key, and writes it later. */
export const hasty: Fixture = remoteFixture("looks for keys first", {
  client(real) {
    return {
      async create(request) {
        const { key, ...info } = request.info;
        const { onKey: _, ...rest } = request;
        const { items } = await real.list({ limit: 1000 });
        const holder = items.find((one) => one.key === key);
        if (key !== undefined && holder !== undefined) return { head: await real.head(holder.id), created: false };
        return real.create({ ...rest, info });
      },
    };
  },
});
