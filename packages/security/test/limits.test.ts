import { runInNewContext } from "node:vm";
import { isAixgoError, type Json } from "@aixgo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assertJson, cloneJson, DEFAULT_JSON_LIMITS, freezeJson } from "../src/index.ts";
import type { JsonLimits } from "../src/index.ts";

function refusal(value: unknown, limits?: JsonLimits): string {
  try {
    assertJson(value, limits, "message");
  } catch (error) {
    if (isAixgoError(error)) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "accepted";
}

function nested(depth: number, innermost: unknown = null): unknown {
  let value = innermost;
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

class Point {
  x = 1;
}

// lessons.md: "`null` messages, `int64` and invalid UTF-8 are altered silently": here stored or refused
describe("what JSON does not give back unchanged is refused, with its place", () => {
  it.each<[string, unknown, string]>([
    ["undefined", undefined, "message is undefined"],
    ["an undefined member", { parts: [{ text: undefined }] }, "message: parts[0].text is undefined"],
    ["NaN", { a: [1, NaN] }, "message: a[1] is NaN"],
    ["Infinity", -Infinity, "message is -Infinity"],
    ["BigInt", { n: 10n }, "message: n is a bigint"],
    ["a function", { f: () => 1 }, "message: f is a function"],
    ["a symbol", [Symbol("s")], "message: [0] is a symbol"],
    ["a Date", { at: new Date(0) }, "message: at is an instance of a class"],
    ["a Map", new Map([["a", 1]]), "message is an instance of a class"],
    ["a class instance", [new Point()], "message: [0] is an instance of a class"],
    ["a Buffer", { b: Buffer.from("x") }, "message: b is an instance of a class"],
    ["a boxed string", { s: new String("x") }, "message: s is an instance of a class"],
    ["an inherited member", Object.create({ inherited: 1 }), "message is an instance of a class"],
    ["a subclass of Array", new (class extends Array<unknown> {})(), "message is an instance of a class"],
    ["toJSON", { toJSON: () => "other" }, "has a toJSON method"],
    ["a hole", { list: [1, , 3] }, "message: list is an array with holes"], // oxlint-disable-line no-sparse-arrays
    ["further members of an array", "ab".match(/b/), "is an array with further members"],
    ["a symbol key", { [Symbol("k")]: 1 }, "has a symbol or a hidden member"],
    ["a hidden member", Object.defineProperty({}, "h", { value: 1 }), "has a symbol or a hidden member"],
    ["a lone surrogate", { text: "a\ud83d" }, "message: text holds a lone surrogate"],
    ["a lone surrogate in a key", { "\udc00": 1 }, "has a lone surrogate in its key"],
    ["a strange key", { "a b\n": [undefined] }, String.raw`message: ["a b\n"][0] is undefined`],
  ])("%s", (_, value, message) => {
    expect(refusal(value)).toContain(`INVALID_INPUT: message`);
    expect(refusal(value)).toContain(message);
  });

  it("a cycle, however it is closed", () => {
    const direct: unknown[] = [];
    direct.push(direct);
    const far: { [key: string]: unknown } = { list: [1, 2, 3] };
    far["deep"] = nested(20, far);
    const wide: { [key: string]: unknown } = { many: Array.from({ length: 5000 }, () => 0) };
    wide["self"] = wide;
    for (const value of [direct, far, wide, { a: direct }]) expect(refusal(value)).toMatch(/^INVALID_INPUT: .* holds itself/);
    expect(refusal(wide, { maxNodes: 20_000, maxDepth: 1000 })).toMatch(/^INVALID_INPUT: .* holds itself/);
  });

  it("the same object at two places is no cycle", () => {
    const part = { type: "text", text: "x" };
    expect(refusal([part, part, { part }])).toBe("accepted");
  });
});

describe("what JSON gives back is accepted", () => {
  it.each<[string, unknown]>([
    ["scalars", [null, true, false, 0, -0, 1.5, -1e300, 2 ** 53, "", "é🙂", "\u0000"]],
    ["empty containers", [[], {}, [[]], [{}]]],
    ["an object without a prototype", Object.assign(Object.create(null), { a: 1 })],
    ["a member named __proto__", JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":1}}')],
    ["an object of another realm", runInNewContext('({ a: [1, { b: "x" }] })')],
    ["a member named toJSON that is data", { toJSON: "x" }],
  ])("%s", (_, value) => {
    expect(refusal(value)).toBe("accepted");
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
  });

  it("agrees with JSON on 20,000 values of all kinds", () => {
    const odd = fc.oneof(
      fc.constantFrom(undefined, NaN, Infinity, "\ud800", new Date(0), () => 1),
      fc.bigInt(),
    );
    const tree = fc.letrec((tie) => ({
      any: fc.oneof(
        { depthSize: "small" },
        fc.jsonValue(),
        fc.jsonValue(),
        odd,
        fc.array(tie("any"), { maxLength: 3 }),
        fc.dictionary(fc.string({ unit: "binary" }), tie("any"), { maxKeys: 3 }),
      ),
    })).any;
    let accepted = 0;
    let refused = 0;
    fc.assert(
      fc.property(tree, (value) => {
        if (refusal(value) === "accepted") {
          accepted++;
          const text = JSON.stringify(value);
          expect(Buffer.from(text, "utf8").toString("utf8")).toBe(text);
          // `-0` becomes `0`, the one difference that is allowed.
          expect(JSON.stringify(JSON.parse(text))).toBe(text);
          expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(cloneJson(value as Json))));
        } else refused++;
      }),
      { numRuns: 20_000 },
    );
    expect(accepted).toBeGreaterThan(1000);
    expect(refused).toBeGreaterThan(1000);
  });
});

describe("limits", () => {
  it("100,000 nested arrays are LIMIT_EXCEEDED, not a stack overflow", () => {
    expect(refusal(nested(100_000))).toBe("LIMIT_EXCEEDED: message is nested deeper than 128 levels");
    expect(refusal(JSON.parse("[".repeat(5000) + "]".repeat(5000)))).toMatch(/^LIMIT_EXCEEDED/);
  });

  it("depth is exact", () => {
    expect(refusal(nested(128))).toBe("accepted");
    expect(refusal(nested(129))).toMatch(/^LIMIT_EXCEEDED/);
    expect(refusal("flat", { maxDepth: 0 })).toBe("accepted");
    expect(refusal([], { maxDepth: 0 })).toMatch(/^LIMIT_EXCEEDED/);
  });

  it("bytes are those of the JSON text, exactly", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const bytes = Buffer.byteLength(JSON.stringify(value));
        expect(refusal(value, { maxBytes: bytes })).toBe("accepted");
        expect(refusal(value, { maxBytes: bytes - 1 })).toBe(`LIMIT_EXCEEDED: message is longer than ${bytes - 1} bytes`);
      }),
      { numRuns: 5000 },
    );
    // The first is the longest number there is: 25 characters.
    for (const text of [
      -1.0000407893095372e-6,
      -1.7976931348623157e308,
      '"'.repeat(50),
      "\u0000".repeat(50),
      "é".repeat(50),
      "🙂".repeat(50),
      "x".repeat(50),
    ]) {
      const bytes = Buffer.byteLength(JSON.stringify(text));
      expect(refusal(text, { maxBytes: bytes })).toBe("accepted");
      expect(refusal(text, { maxBytes: bytes - 1 })).toMatch(/^LIMIT_EXCEEDED/);
    }
  });

  it("nodes count every value, and a few objects that stand for very many are refused", () => {
    expect(refusal([1, [2, 3]], { maxNodes: 5 })).toBe("accepted");
    expect(refusal([1, [2, 3]], { maxNodes: 4 })).toBe("LIMIT_EXCEEDED: message holds more than 4 values");
    expect(refusal(new Array(1_000_001))).toMatch(/^LIMIT_EXCEEDED/);
    let laughs: unknown = "ha";
    for (let i = 0; i < 40; i++) laughs = [laughs, laughs];
    expect(refusal(laughs)).toMatch(/^LIMIT_EXCEEDED/);
  });

  it.each([{ maxDept: 1 }, { maxDepth: -1 }, { maxDepth: 1025 }, { maxBytes: 1.5 }, { maxNodes: NaN }, { maxNodes: "5" }])(
    "an invalid limit is INVALID_OPTION with its name: %j",
    (limits) => {
      expect(refusal(1, limits as JsonLimits)).toMatch(new RegExp(`^INVALID_OPTION: .*${Object.keys(limits)[0]}`));
    },
  );

  it("the defaults cannot be changed", () => {
    expect(Object.isFrozen(DEFAULT_JSON_LIMITS)).toBe(true);
    expect(refusal(1, { maxBytes: undefined } as unknown as JsonLimits)).toBe("accepted");
  });
});

describe("copies", () => {
  it("a clone is equal, shares nothing and keeps __proto__ as data", () => {
    const value = JSON.parse('{"a":[1,{"b":null}],"__proto__":{"x":[1]},"t":"é"}') as { a: Json[] };
    const copy = cloneJson(value as Json) as unknown as { a: Json[] };
    expect(JSON.stringify(copy)).toBe(JSON.stringify(value));
    expect(Object.getPrototypeOf(copy)).toBe(Object.prototype);
    (value.a[1] as { b: unknown })["b"] = "changed";
    expect(copy.a[1]).toEqual({ b: null });
  });

  it("clones and freezes 100,000 levels", () => {
    let depth = 0;
    for (
      let at: unknown = freezeJson(cloneJson(nested(100_000) as Json));
      at !== null;
      at = Array.isArray(at) ? at[0] : (at as { a: unknown }).a
    ) {
      if (!Object.isFrozen(at)) expect(Object.isFrozen(at)).toBe(true);
      depth++;
    }
    expect(depth).toBe(100_000);
  });

  it("freezes all within, also below what is frozen already", () => {
    const inner = { list: [{ x: 1 }] };
    const value = freezeJson(Object.freeze({ inner }) as unknown as Json) as unknown as { inner: typeof inner };
    expect(() => value.inner.list.push({ x: 2 })).toThrow(TypeError);
    expect(Object.isFrozen(value.inner.list[0])).toBe(true);
    expect(freezeJson("text")).toBe("text");
    expect(freezeJson(null)).toBe(null);
  });

  it("clones any JSON value", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.stringify(cloneJson(value as Json))).toBe(JSON.stringify(value));
      }),
      { numRuns: 5000 },
    );
  });
});
