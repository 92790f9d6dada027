import fc from "fast-check";
import { expect, it } from "vitest";
import { createPostgresBackend } from "@aixgo/session-postgres";
import { columnText, mark, rowLiteral, textOfColumn } from "../src/column-text.ts";
import { labelOf } from "../src/labels.ts";

const connectionString = "postgresql://user:s3cret@127.0.0.1:1/db";
const pool = { connect: () => Promise.reject(new Error("no server")) };

it("an option that is unknown or wrong is named, and nothing else of it is shown", () => {
  const wrong: readonly [string, object][] = [
    ["schema", { connectionString, schema: 'a"b' }],
    ["schema", { connectionString, schema: "pg_x" }],
    ["schema", { connectionString, schema: "" }],
    ["schema", { connectionString, schema: "x".repeat(49) }],
    ["migrate", { connectionString, migrate: "yes" }],
    ["commandTimeoutMs", { connectionString, commandTimeoutMs: 0 }],
    ["maxConnections", { connectionString, maxConnections: 0 }],
    ["maxConnections", { pool, maxConnections: 3 }],
    ["sharedBy", { connectionString, sharedBy: "process" }],
    ["sharedBy", { pool, sharedBy: "planet" }],
    ["durability", { pool, durability: "quorum" }],
    ["indexedMetadata", { pool, indexedMetadata: "topic" }],
    ["indexedMetadata", { pool, indexedMetadata: [""] }],
    ["maxLineBytes", { pool, maxLineBytes: 10 }],
    ["maxBlobBytes", { connectionString, maxBlobBytes: 1000 }],
    ["maxBlobBytes", { connectionString, maxBlobBytes: 2 ** 40 }],
    ["listen", { connectionString, listen: true }],
    ["listen.connectionString", { connectionString, listen: {} }],
    ["listen.connectionString", { pool, listen: { connectionString: "s3cret@host" } }],
    ["listen.onLost", { pool, listen: { connectionString, onLost: 5 } }],
    ["listen.channel", { pool, listen: { connectionString, channel: "x" } }],
    ["connectionString", { connectionString: "s3cret@host" }],
    ["connectionString", {}],
    ["pool", { pool, connectionString }],
    ["pool", { pool: {} }],
    ["commandTimeout", { pool, commandTimeout: 3 }],
  ];
  for (const [name, options] of wrong) {
    expect(() => createPostgresBackend(options as never), name).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringMatching(new RegExp(`option ${name} `)) }),
    );
    expect(() => createPostgresBackend(options as never)).not.toThrow(/s3cret/);
  }
});

it("making a backend opens no connection; one that was never used closes", async () => {
  let connects = 0;
  const backend = createPostgresBackend({ pool: { connect: () => Promise.reject(new Error(String(connects++))) } });
  await backend.close();
  await backend.close();
  expect(connects).toBe(0);
  await expect(backend.list({})).rejects.toMatchObject({ code: "BACKEND_CLOSED" });
});

it("texts of columns are one-to-one, hold no NUL and no lone surrogate, and leave ordinary names as they are", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (a, b) => {
      expect(textOfColumn(columnText(a))).toBe(a);
      expect(columnText(a)).not.toContain("\0");
      expect(Buffer.from(columnText(a), "utf8").toString("utf8")).toBe(columnText(a));
      expect(columnText(a) === columnText(b)).toBe(a === b);
    }),
  );
  expect(textOfColumn(columnText("\ud800\0"))).toBe("\ud800\0");
  for (const name of ["assistant", "user:ada", "é", "a b"]) expect(columnText(name)).toBe(name);
  expect(mark("x".repeat(5000))).not.toBe(mark("x".repeat(5001)));
  expect(mark("x".repeat(5000)).length).toBeLessThan(100);
});

it("a row literal quotes what it holds", () => {
  expect(rowLiteral(["a", null, 1, 'q"\\,()', ["x", null, "{}"], Uint8Array.from([1, 255])])).toBe(
    '("a",,"1","q\\"\\\\,()","{\\"x\\",NULL,\\"{}\\"}","\\\\x01ff")',
  );
});

it("labels are equal for equal values, in whatever order their members stand, and for no others", () => {
  const label = (value: unknown): string => Buffer.from(labelOf("k", value as never)).toString("hex");
  expect(label({ a: 1, b: { d: 1, c: 2 } })).toBe(label({ b: { c: 2, d: 1 }, a: 1 }));
  const values = [1, "1", true, "true", null, "null", [], {}, [1, 2], [2, 1], { a: 1 }, { a: "1" }, ""];
  expect(new Set(values.map(label)).size).toBe(values.length);
});
