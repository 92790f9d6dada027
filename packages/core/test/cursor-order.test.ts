import { describe, expect, it } from "vitest";
import { isNext } from "../src/cursor-order.ts";

describe("the order of cursors tells what was dropped", () => {
  it.each([
    ["1", "2"],
    ["life.5.3", "life.5.4"],
    // A message was stored, and then the first delta of the next one was shown.
    ["life.5.3", "life.6.0"],
    ["life.6.0", "life.6.1"],
    // Something else was stored in between.
    ["life.5.3", "life.6.4"],
    ["life.5.3", "life.7.1"],
  ])("nothing between %s and %s", (before, after) => expect(isNext(before, after)).toBe(true));

  it.each([
    ["1", "3"],
    ["life.5.3", "life.5.5"],
    ["life.6.0", "life.6.2"],
    ["life.5.3", "life.6.6"],
    ["life.5.3", "life.5.1"],
  ])("something between %s and %s", (before, after) => expect(isNext(before, after)).toBe(false));
});
