import { message } from "@aixgo/session-testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startRedis } from "@aixgo/repository-tools/services/redis";
import { appended, codeOf, errorOf, keysOf, newPrefix, opened, started } from "./support/sessions.ts";

let redis: Awaited<ReturnType<typeof startRedis>>;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

async function* all(backend: ReturnType<typeof opened>, ref: { id: string; incarnation: string }): AsyncGenerator<Uint8Array> {
  yield* backend.read(ref);
}

async function drained(pages: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of pages);
}

describe("a session that something else has changed", () => {
  for (const role of ["head", "lines", "marks"] as const) {
    it(`whose key ${role} is gone is ENTRY_CORRUPT, not written, not made anew, and may be erased`, async () => {
      const prefix = newPrefix();
      const backend = opened({ url: redis.url, keyPrefix: prefix });
      const log = await started(backend, { key: "k" }, message("one", { op: "u:1" }));
      const well = await started(backend, {}, message("one"));
      await redis.cli("DEL", keysOf(prefix, log)[role]);
      const late = { expect: log.position, lines: log.branch().add(message("two")) };
      for (const fresh of [false, true]) {
        const node = fresh ? opened({ url: redis.url, keyPrefix: prefix }) : backend;
        const calls: (() => Promise<unknown>)[] = [() => node.find(log.ref, { op: "u:1" })];
        if (role !== "marks")
          calls.push(
            () => node.head(log.ref.id),
            () => node.append(log.ref, late),
            () => drained(all(node, log.ref)),
            () => node.renew(log.ref, { fence: 1, token: "t" }, 1000),
          );
        for (const call of calls) {
          const error = await errorOf(call());
          expect(error.code).toBe("ENTRY_CORRUPT");
          expect(error.message).toContain(log.ref.id);
          expect(error.message).toContain(role);
        }
        // One bad session hides no other.
        expect((await node.list({})).items.map(({ id }) => id)).toContain(well.ref.id);
      }
      if (role === "head") {
        expect(
          await codeOf(
            backend.create({
              ref: log.ref,
              info: log.info,
              async *lines() {
                yield* log.lines;
              },
            }),
          ),
        ).toBe("ENTRY_CORRUPT");
        expect(await codeOf(backend.delete(log.ref))).toBe("ENTRY_CORRUPT");
      }
      await backend.delete(log.ref, { erase: true });
      expect(await codeOf(backend.head(log.ref.id))).toBe("SESSION_DELETED");
      expect(await redis.cli("EXISTS", keysOf(prefix, log).lines, keysOf(prefix, log).marks)).toBe("0");
      expect((await backend.list({})).items.map(({ id }) => id)).toEqual([well.ref.id]);
      await appended(backend, well, message("two"));
    });

    it(`whose key ${role} is of another type is ENTRY_CORRUPT that names it, and nothing of an append stays`, async () => {
      const prefix = newPrefix();
      const backend = opened({ url: redis.url, keyPrefix: prefix });
      const log = await started(backend, {}, message("one"));
      const keys = keysOf(prefix, log);
      await redis.cli("DEL", keys[role]);
      await redis.cli("SADD", keys[role], "foreign");
      const error = await errorOf(backend.append(log.ref, { expect: log.position, lines: log.branch().add(message("two")) }));
      expect(error.code).toBe("ENTRY_CORRUPT");
      expect(error.message).toContain(`key ${role}`);
      expect(await codeOf(backend.find(log.ref, { op: "x" }))).toBe("ENTRY_CORRUPT");
      if (role !== "lines") expect(await redis.cli("LLEN", keys.lines)).toBe("2");
      expect(await codeOf(backend.list({}))).toBe("none");
      await backend.delete(log.ref, { erase: true });
      expect(await codeOf(backend.head(log.ref.id))).toBe("SESSION_DELETED");
    });
  }

  it("whose last line is gone is ENTRY_CORRUPT: acknowledged entries do not vanish in silence", async () => {
    const prefix = newPrefix();
    const backend = opened({ url: redis.url, keyPrefix: prefix });
    const log = await started(backend, {}, message("one"), message("two"));
    await redis.cli("RPOP", keysOf(prefix, log).lines);
    for (const call of [
      () => backend.head(log.ref.id),
      () => backend.append(log.ref, { expect: log.position, lines: log.branch().add(message("three")) }),
      () => drained(backend.read(log.ref)),
    ]) {
      expect(await codeOf(call())).toBe("ENTRY_CORRUPT");
    }
  });

  it("whose marks were lost and begun anew by an append does not say that an op was never used", async () => {
    const prefix = newPrefix();
    const backend = opened({ url: redis.url, keyPrefix: prefix });
    const log = await started(backend, {}, message("one", { op: "u:1" }));
    await redis.cli("DEL", keysOf(prefix, log).marks);
    await appended(backend, log, message("two", { op: "u:2" }));
    expect(await codeOf(backend.find(log.ref, { op: "u:1" }))).toBe("ENTRY_CORRUPT");
  });
});
