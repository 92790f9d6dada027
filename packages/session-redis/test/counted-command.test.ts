import { Command } from "ioredis";
import { describe, expect, it } from "vitest";
import { CountedCommand } from "../src/counted-command.ts";

describe("a counted command", () => {
  it("is written as the client writes its own, whatever its arguments are", () => {
    const lists: readonly (readonly (string | Buffer)[])[] = [
      [],
      ["plain", "", "1"],
      ["é\u2028\u{1F99C}", "plain"],
      ["plain", Buffer.from([0, 10, 13, 255]), "after"],
      ["é", Buffer.alloc(0), "ü", Buffer.from("x"), Buffer.from("y")],
      [Buffer.from("first"), "é"],
      ["a\r\n$3\r\nb", "\ud800"],
    ];
    for (const args of lists) {
      const ours = new CountedCommand("evalsha", args);
      const theirs = new Command("evalsha", [...args], { replyEncoding: null });
      expect(Buffer.from(ours.toWritable() as string)).toEqual(Buffer.from(theirs.toWritable({}) as string));
      expect(ours.sends).toBe(1);
      ours.toWritable();
      expect(ours.sends).toBe(2);
      for (const command of [ours, theirs]) command.resolve(null);
    }
  });
});
