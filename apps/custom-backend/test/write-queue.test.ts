import { AixgoError } from "@aixgo/core";
import { describe, expect, it } from "vitest";
import type { Connection } from "../src/connection.ts";
import { createWriteQueue } from "../src/write-queue.ts";

/** A connection whose transactions end as told; what SQLite itself does is tested elsewhere. */
function scripted(endings: (Error | "commit")[]): { readonly connection: Connection; readonly ran: string[][] } {
  const ran: string[][] = [];
  const connection: Connection = {
    get: () => undefined,
    all: () => [],
    run(sql) {
      if (sql === "SAVEPOINT job") ran.at(-1)?.push("job");
    },
    pragma: () => undefined,
    reading: (body) => body(),
    writing(body) {
      ran.push([]);
      const value = body();
      const ending = endings.shift();
      if (ending instanceof Error) throw ending;
      return value;
    },
    truncateLog: () => undefined,
    close: () => undefined,
  };
  return { connection, ran };
}

function sqlite(code: string): Error {
  return Object.assign(new Error(code), { code });
}

describe("write queue", () => {
  it("calls of one turn of the event loop share a transaction, 64 at most", async () => {
    const { connection, ran } = scripted([]);
    const queue = createWriteQueue(
      1000,
      () => connection,
      () => undefined,
    );
    await Promise.all(Array.from({ length: 100 }, (_, i) => queue.push(() => i)));
    expect(ran.map(({ length }) => length)).toEqual([64, 36]);
  });

  it("a transaction that meets another process is run again, jobs and all", async () => {
    const { connection, ran } = scripted([sqlite("SQLITE_BUSY"), sqlite("SQLITE_BUSY_SNAPSHOT"), "commit"]);
    let runs = 0;
    const queue = createWriteQueue(
      60_000,
      () => connection,
      () => expect.unreachable(),
    );
    expect(await queue.push(() => ++runs)).toBe(3);
    expect(ran).toHaveLength(3);
  });

  it("a commit of unknown outcome fails the whole group, once, and the connection is given up", async () => {
    const unknown = new AixgoError("OUTCOME_UNKNOWN", "not confirmed", { details: { sqlite: "SQLITE_IOERR_FSYNC" } });
    const { connection, ran } = scripted([unknown, "commit"]);
    let broken = 0;
    const queue = createWriteQueue(
      1000,
      () => connection,
      () => void broken++,
    );
    const results = await Promise.allSettled([queue.push(() => 1), queue.push(() => 2)]);
    expect(results).toEqual([
      { status: "rejected", reason: unknown },
      { status: "rejected", reason: unknown },
    ]);
    expect(broken).toBe(1);
    expect(ran).toHaveLength(1);
    expect(await queue.push(() => 3)).toBe(3);
  });

  it("a full disk fails the group and keeps the connection", async () => {
    const { connection } = scripted([
      new AixgoError("OUTCOME_UNKNOWN", "not confirmed", { details: { sqlite: "SQLITE_FULL" } }),
      sqlite("SQLITE_FULL"),
      "commit",
    ]);
    const queue = createWriteQueue(
      1000,
      () => connection,
      () => expect.unreachable(),
    );
    await expect(queue.push(() => 1)).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
    await expect(queue.push(() => 1)).rejects.toMatchObject({ code: "SQLITE_FULL" });
    expect(await queue.push(() => 1)).toBe(1);
  });

  it("a job that throws is undone alone; a failure of the database ends its group", async () => {
    const { connection } = scripted([]);
    let broken = 0;
    const queue = createWriteQueue(
      1000,
      () => connection,
      () => void broken++,
    );
    const refuse = (error: Error): Promise<unknown> =>
      queue.push(() => {
        throw error;
      });
    const apart = await Promise.allSettled([
      queue.push(() => 1),
      refuse(new TypeError("mine")),
      refuse(sqlite("SQLITE_CONSTRAINT_UNIQUE")),
      queue.push(() => 2),
    ]);
    expect(apart.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected", "fulfilled"]);
    expect(broken).toBe(0);
    const together = await Promise.allSettled([queue.push(() => 1), refuse(sqlite("SQLITE_IOERR_WRITE"))]);
    expect(together.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(broken).toBe(1);
  });
});
