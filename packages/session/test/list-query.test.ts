import { canonicalJson, listQuery, type SessionInfo, type SessionQuery } from "@aixgo/session/backend";
import { describe, expect, it } from "vitest";

/** An array in an array, so deep. */
function nested(depth: number): unknown {
  let value: unknown = [];
  for (let i = 0; i < depth; i++) value = [value];
  return value;
}

const capabilities = { indexedMetadata: ["topic"] };
const info: SessionInfo = {
  id: "s1",
  agentName: "a",
  userId: "ada",
  version: 0,
  messageCount: 0,
  createdAt: "2026-03-01T00:00:00.000Z",
  updatedAt: "2026-03-01T00:00:00.000Z",
  metadata: { topic: { x: 1, y: [2] }, other: null },
};

describe("a query of list", () => {
  it("gets its defaults, and keeps what was given", () => {
    expect(listQuery({}, capabilities, "text")).toMatchObject({ order: "updated", limit: 50, filters: {}, metadata: [] });
    const query = listQuery(
      { userId: "ada", metadata: { topic: 1 }, updatedAfter: "2026-03-01", order: "id", limit: 7 },
      capabilities,
      "text",
    );
    expect(query).toMatchObject({ order: "id", limit: 7, filters: { userId: "ada" }, metadata: [["topic", 1]] });
    expect(query.updatedAfter).toBe(Date.UTC(2026, 2, 1));
    expect(query.updatedBefore).toBeUndefined();
  });

  it.each([
    ["query", null],
    ["flavour", { flavour: 1 }],
    ["toString", { toString: 1 }],
    ["limit", { limit: 0 }],
    ["limit", { limit: -5 }],
    ["limit", { limit: 1e9 }],
    ["limit", { limit: "10" }],
    ["order", { order: "size" }],
    ["scan", { scan: 1 }],
    ["agentName", { agentName: 3 }],
    ["tenantId", { tenantId: null }],
    ["userId", { userId: ["ada"] }],
    ["metadata", { metadata: "topic" }],
    ["metadata", { metadata: ["topic"] }],
    ["metadata", { metadata: null }],
    ["metadata", { metadata: new Map([["topic", 1]]) }],
    ["metadata", { metadata: { topic: new Date() } }],
    ["metadata", { metadata: { topic: undefined } }],
    ["metadata", { metadata: { topic: Number.NaN } }],
    ["metadata", { metadata: { topic: nested(10_000) } }],
    ['"colour"', { metadata: { colour: "red" } }],
    ["updatedAfter", { updatedAfter: "yesterday" }],
    ["updatedAfter", { updatedAfter: "1" }],
    ["updatedBefore", { updatedBefore: "2026-13-01" }],
    ["updatedBefore", { updatedBefore: new Date() }],
    ["cursor", { cursor: 5 }],
    ["cursor", { cursor: "" }],
    ["cursor", { cursor: Buffer.from("[1,2,3]").toString("base64url") }],
  ])("names %s where it cannot be used (%#)", (name, query) => {
    expect(() => listQuery(query as unknown as SessionQuery, capabilities, "text")).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(name) }),
    );
  });

  it("takes metadata of any key with scan, and compares it as JSON", () => {
    const fits = (metadata: SessionQuery["metadata"]): boolean =>
      listQuery({ metadata, scan: true } as SessionQuery, capabilities, "text").matches(info);
    expect(fits({ topic: { y: [2], x: 1 } })).toBe(true);
    expect(fits({ topic: { y: [2], x: 1 }, other: null })).toBe(true);
    expect(fits({ topic: { x: 1 } })).toBe(false);
    expect(fits({ topic: "[object Object]" })).toBe(false);
    expect(fits({ constructor: null })).toBe(false);
  });

  it("compares times without their limits, and names as they are", () => {
    const fits = (query: SessionQuery): boolean => listQuery(query, capabilities, "text").matches(info);
    expect(fits({ updatedAfter: "2026-03-01T00:00:00Z" })).toBe(false);
    expect(fits({ updatedAfter: "2026-02-28T23:59:59.999Z" })).toBe(true);
    expect(fits({ updatedBefore: "2026-03-01T01:00:00+01:00" })).toBe(false);
    expect(fits({ updatedBefore: "2026-03-01T00:00:01Z" })).toBe(true);
    expect(fits({ userId: "Ada" })).toBe(false);
    expect(fits({ tenantId: "ada" })).toBe(false);
  });
});

describe("a cursor", () => {
  const place = { id: "s\u0000\ud800\u20ac", rank: "2026-03-01T00:00:00.000Z" };
  const query: SessionQuery = { userId: "ada", metadata: { a: { b: 1, c: 2 }, d: 3 }, scan: true };
  const cursor = listQuery(query, capabilities, "text").cursor(place);

  it("brings its place back for the same query, with any limit and members in any order", () => {
    expect(listQuery({ ...query, cursor, limit: 3 }, capabilities, "text").after).toEqual(place);
    expect(listQuery({ metadata: { d: 3, a: { c: 2, b: 1 } }, scan: true, userId: "ada", cursor }, capabilities, "text").after).toEqual(
      place,
    );
    expect(listQuery(query, capabilities, "text").after).toBeUndefined();
  });

  it.each([
    { userId: "bob" },
    { tenantId: "ada" },
    { agentName: "x" },
    { order: "id" },
    { updatedAfter: "2026-01-01" },
    { updatedBefore: "2026-01-01" },
    { metadata: { a: { b: 1, c: 2 }, d: "3" } },
    { metadata: { a: { b: 1, c: 2 } } },
  ] satisfies SessionQuery[])("is refused for another query: %j", (other) => {
    expect(() => listQuery({ ...query, ...other, cursor }, capabilities, "text")).toThrow(/cursor belongs to another query/);
  });

  it("of a store with another kind of rank is refused", () => {
    expect(() => listQuery({ ...query, cursor }, capabilities, "number")).toThrow(/cursor is none/);
    const number = listQuery({}, capabilities, "number").cursor({ id: "a", rank: 5 });
    expect(listQuery({ cursor: number }, capabilities, "number").after).toEqual({ id: "a", rank: 5 });
    expect(() => listQuery({ cursor: number }, capabilities, "text")).toThrow(/cursor is none/);
  });
});

it("canonical JSON is equal for equal values, and for no others", () => {
  expect(canonicalJson({ b: 1, a: [{ z: 1, y: 2 }] })).toBe('{"a":[{"y":2,"z":1}],"b":1}');
  const values = [1, "1", true, "true", null, "null", [], {}, [1, 2], [2, 1], { a: 1 }, { a: "1" }, ""];
  expect(new Set(values.map(canonicalJson)).size).toBe(values.length);
});
