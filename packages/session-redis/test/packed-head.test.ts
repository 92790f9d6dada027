import { isAixgoError } from "@aixgo/core";
import type { Head } from "@aixgo/session/backend";
import { createLog, message } from "@aixgo/session-testkit";
import { HeadFold } from "@aixgo/session/backend";
import { describe, expect, it } from "vitest";
import { constantsLine, encodeKeys, encodeText, headOf, pack, positionLine, unpackHead } from "../src/packed-head.ts";
import { fieldsFor, marksOf, seqOf } from "../src/marks.ts";

function headFor(metadata: Record<string, string>, incarnation = "life"): Head {
  const log = createLog({ incarnation, agentName: "helper", userId: "a b\nc", tenantId: "\u{1F99C}", key: "k", metadata });
  log.add(message("one"));
  const folding = new HeadFold(undefined);
  for (const line of log.lines) folding.push(line);
  return folding.head as Head;
}

describe("the packed head", () => {
  it("gives back every head, whatever texts are in it", () => {
    for (const text of ["", "plain", "line\nend", "\u2028\u{10FFFF}", '"quoted" {braces}', "\ud800"]) {
      const fold = headFor({ text });
      const keys = Uint8Array.from([0, 10, 255]);
      const lease = `7 t${encodeText("a token\n")} 5000 h${encodeText("who else")} c${encodeText("stop\n")}`;
      const stored = unpackHead(fold.id, Buffer.from(pack(fold, { lease, keys: encodeKeys(keys), constants: constantsLine(fold) })));
      expect(stored.fold).toEqual(fold);
      expect(stored.lease).toEqual({ fence: 7, token: "a token\n", holder: "who else", expiresAt: 5000, cancelRequested: "stop\n" });
      expect(headOf(stored, 4000)).toEqual({
        ...fold,
        fence: 7,
        keys,
        lease: { fence: 7, holder: "who else", expiresInMs: 1000, cancelRequested: "stop\n" },
      });
    }
  });

  it("has a first line that no incarnation can break out of", () => {
    for (const incarnation of ["a b", "a\nb", "#tombstone", "%", "\ud800", ""]) {
      const line = positionLine({ incarnation, seq: 3, hash: "h" });
      expect(line).toMatch(/^[^\s#]+ 3 h\n$/);
      if (incarnation !== "" && incarnation !== "\ud800")
        expect(
          unpackHead("id", Buffer.from(pack(headFor({}, incarnation), { lease: "0", keys: "", constants: constantsLine(headFor({})) })))
            .fold.incarnation,
        ).toBe(incarnation);
    }
  });

  it("that is something else is ENTRY_CORRUPT", () => {
    for (const text of [
      "",
      "x",
      "life 3 hash",
      "life 3 hash\n0\n\n[]\n{}",
      'life x hash\n0\n\n[0,0,0,0,"",null]\n["a",null,null,null,"",{}]',
    ]) {
      let code: unknown;
      try {
        unpackHead("id", Buffer.from(text));
      } catch (error) {
        code = isAixgoError(error) ? error.code : error;
      }
      expect(code, JSON.stringify(text)).toBe("ENTRY_CORRUPT");
    }
  });
});

describe("marks", () => {
  it("an op of its own hides the id as op, and the last one counts", () => {
    const found = new Map<string, string>();
    const note = (entry: Parameters<typeof marksOf>[0]): void => {
      const marks = marksOf(entry);
      for (let i = 0; i < marks.length; i += 2) found.set(marks[i] as string, marks[i + 1] as string);
    };
    const find = (what: { op: string } | { entryId: string }): number | undefined => {
      const [first, second] = fieldsFor(what);
      return seqOf(what, found.get(first), found.get(second));
    };
    note({ seq: 0, id: "header" });
    note({ seq: 1, id: "a", op: "b" });
    note({ seq: 2, id: "b" });
    note({ seq: 3, id: "c", op: "a" });
    expect(find({ entryId: "a" })).toBe(1);
    expect(find({ op: "a" })).toBe(3);
    expect(find({ op: "b" })).toBe(2);
    expect(find({ op: "c" })).toBe(undefined);
    expect(find({ entryId: "c" })).toBe(3);
    expect(find({ op: "header" })).toBe(0);
    note({ seq: 4, id: "d", op: "b" });
    expect(find({ op: "b" })).toBe(4);
  });
});
