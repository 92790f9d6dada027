import { describe, expect, it } from "vitest";
import type { Entry } from "@aixgo/session/backend";
import type { Reading } from "../src/reading.ts";
import { type Damage, judge } from "../src/recovery.ts";
import { advance, JOINT_BYTES } from "../src/scan.ts";
import { changed, holed, type Log, logOf, long, sample, SECTOR } from "./support/broken-log.ts";
import { LineWriter } from "./support/writer.ts";

const MIB = 1024 * 1024;

/** Lets a reading read from memory. */
function on<T>(bytes: Buffer, reading: Reading<T>): T {
  let step = reading.next();
  while (step.done !== true) {
    const { offset, length } = step.value;
    expect(offset).toBeGreaterThanOrEqual(0);
    step = reading.next(bytes.subarray(offset, offset + length));
  }
  return step.value;
}
const judged = (bytes: Buffer, maxLineBytes = MIB): Damage | undefined =>
  on(bytes, judge(on(bytes, advance(undefined, bytes.length)), bytes.length, maxLineBytes));

/** The batch of three is one: what is due is its first entry. */
const dueAt = (seq: number): number => (seq === 5 || seq === 6 ? 4 : seq);

describe.each([
  ["without", false],
  ["with", true],
])("of a log that was written %s syncs", (_, synced) => {
  const log = sample(synced);
  const placeOf = (seq: number): Damage => ({ seq: dueAt(seq), offset: log.starts[seq] as number });
  /** Nothing after these lines vouches for them: the last one, and with syncs the whole of the last group. */
  const lastVouched = synced ? 6 : 8;

  it("each cut is a torn tail, unless it is in the header, which was durable before it had its name", () => {
    for (let cut = 0; cut <= log.bytes.length; cut += 1) {
      const wanted = cut > 0 && cut < (log.starts[1] as number) ? { seq: 0, offset: 0 } : undefined;
      expect(judged(log.bytes.subarray(0, cut)), `cut at ${cut}`).toEqual(wanted);
    }
  });

  it("a sector that is missing is damage if a line behind it can tell that it was there, else a torn tail", () => {
    for (let seq = 1; seq <= 9; seq += 1)
      for (const from of [0, 20, 150, 500])
        expect(judged(holed(log, seq, from)), `line ${seq}, from byte ${from}`).toEqual(seq <= lastVouched ? placeOf(seq) : undefined);
  });

  it("a change in a line is damage, also where nothing stands behind it", () => {
    for (let seq = 1; seq <= 9; seq += 1) {
      const [start, end] = [log.starts[seq] as number, log.starts[seq + 1] as number];
      // In the text, at the beginning, in the hash, and of the line end.
      for (const at of [log.bytes.indexOf('"text":"', start) + 8, start, start + 20, end - 20, end - 1])
        for (const to of [undefined, 0xff, 0])
          expect(judged(changed(log, at, to)), `line ${seq}, byte ${at - start}, to ${to}`).toEqual(placeOf(seq));
    }
  });

  it("a smear of up to eight bytes is damage wherever it lies, over the border of the last two lines as well", () => {
    for (let bytes = 1; bytes <= 8; bytes += 1)
      for (
        let at = log.starts[8] as number;
        at + bytes <= log.bytes.length;
        at += at > log.bytes.length - 80 || at < (log.starts[8] as number) + 40 ? 1 : 23
      ) {
        const copy = Buffer.from(log.bytes);
        for (let index = 0; index < bytes; index += 1) copy[at + index] = (copy[at + index] as number) ^ 0x15;
        expect(judged(copy), `${bytes} bytes at ${at} of ${log.bytes.length}`).toMatchObject({ seq: expect.any(Number) as number });
      }
  });

  it("any damage of a line is, if its beginning or its hash is still there", () => {
    const [start, end] = [log.starts[9] as number, log.bytes.length];
    for (const [from, to] of [
      [start + 13, end - 1],
      [start, end - 60],
    ] as const)
      expect(judged(Buffer.from(log.bytes).fill("~", from, to)), `bytes ${from} to ${to}`).toEqual(placeOf(9));
    // Nothing says that this was an entry.
    expect(judged(Buffer.from(log.bytes).fill("~", start, end - 20))).toBeUndefined();
  });

  it("a byte that became a line end is damage like any other", () => {
    for (let seq = 1; seq <= 9; seq += 1)
      for (let at = log.starts[seq] as number; at < (log.starts[seq + 1] as number) - 1; at += 7)
        expect(judged(changed(log, at, 10)), `line ${seq}, byte ${at}`).toEqual(placeOf(seq));
  });

  it("lines that are gone are damage if others stand behind them", () => {
    const without = (first: number, count: number): Buffer =>
      Buffer.concat([log.bytes.subarray(0, log.starts[first]), log.bytes.subarray(log.starts[first + count])]);
    for (let seq = 1; seq <= 8; seq += 1) expect(judged(without(seq, 1)), `without ${seq}`).toEqual(placeOf(seq));
    expect(judged(without(9, 1))).toBeUndefined();
  });

  it("NULs and other remains behind the end are a torn tail", () => {
    for (const tail of [Buffer.alloc(9000), Buffer.from("garbage\nin lines\n"), Buffer.from("\n\n"), Buffer.from('{"v":1,"seq":10,"x":')])
      expect(judged(Buffer.concat([log.bytes, tail]))).toBeUndefined();
  });
});

it("of a log only its end is read to judge it", () => {
  const { bytes } = sample(false);
  const whole = Buffer.concat([bytes, Buffer.from("no line\n")]);
  const advanced = on(whole, advance(undefined, whole.length));
  expect(judge(advanced, whole.length, MIB).next().value).toEqual({ offset: bytes.length - JOINT_BYTES, length: JOINT_BYTES + 8 });
});

describe("syncs", () => {
  it("are known from the damaged line as well: what follows in its group proves nothing", () => {
    const writer = new LineWriter();
    const log = logOf([
      writer.header(),
      writer.message(long("1")),
      writer.message(long("2"), { sync: 1 }),
      writer.message(long("3")),
      writer.message(long("4")),
    ]);
    expect(judged(holed(log, 2, 200))).toBeUndefined();
    // Without the word in it, what stands behind would have been written by somebody who had seen it whole.
    const bare = logOf(rebuilt(["1", "2", "3", "4"]));
    expect(judged(holed(bare, 2, 200))).toEqual({ seq: 2, offset: bare.starts[2] });
  });

  it("vouch for what they name, and not for what came later", () => {
    const writer = new LineWriter();
    const log = logOf([
      writer.header(),
      writer.message(long("1"), { sync: 0 }),
      writer.message(long("2")),
      // A group of another handle that knew only line 1 to be durable.
      writer.message(long("3"), { sync: 1 }),
      writer.message(long("4"), { sync: 3 }),
    ]);
    expect(judged(holed(log, 1))).toEqual({ seq: 1, offset: log.starts[1] });
    expect(judged(holed(log, 2))).toEqual({ seq: 2, offset: log.starts[2] });
    expect(judged(holed(log, 3))).toEqual({ seq: 3, offset: log.starts[3] });
    expect(judged(holed(log, 4))).toBeUndefined();
    const shorter = logOf(
      log.bytes
        .toString()
        .split("\n")
        .slice(0, 4)
        .map((line) => Buffer.from(line)),
    );
    expect(judged(holed(shorter, 2))).toBeUndefined();
  });

  it("of one line later in a group make the lines before it prove nothing by themselves", () => {
    const writer = new LineWriter();
    const log = logOf([
      writer.header(),
      writer.message(long("1")),
      writer.message(long("2")),
      writer.message(long("3")),
      writer.message(long("4"), { sync: 1 }),
    ]);
    expect(judged(holed(log, 2))).toBeUndefined();
  });
});
function rebuilt(texts: readonly string[]): Buffer[] {
  const writer = new LineWriter();
  return [writer.header(), ...texts.map((text) => writer.message(long(text)))];
}

describe("lines behind the damage", () => {
  const damage = (log: Log): Damage => ({ seq: 2, offset: log.starts[2] as number });
  const spoilt = (log: Log): Buffer => holed(log, 2);

  it("are looked for where a line end was lost as well", () => {
    const log = logOf(rebuilt(["1", "2", "3", "4"]));
    const bytes = Buffer.from(log.bytes);
    const from = (log.starts[3] as number) - 30;
    bytes.fill(0, from, Math.ceil((log.starts[3] as number) / SECTOR) * SECTOR);
    expect(judged(bytes)).toEqual(damage(log));
    expect(judged(bytes.subarray(0, log.starts[4]))).toBeUndefined();
  });

  it("vouch for it also if they are of a later format", () => {
    const writer = new LineWriter();
    const later = { v: 2 } as unknown as Partial<Entry>;
    const log = logOf([writer.header(), writer.message(long("1")), writer.message(long("2")), writer.message(long("3"), later)]);
    expect(log.bytes.toString()).toContain('{"v":2,"seq":3');
    expect(judged(spoilt(log))).toEqual(damage(log));
  });

  it("are no syncs where they only look like it", () => {
    const log = logOf(rebuilt(["1", "2", "3"]));
    expect(judged(Buffer.concat([spoilt(log), Buffer.from('torn,"sync":9')]))).toEqual(damage(log));
  });

  it("prove nothing if they belong to nothing", () => {
    const { bytes } = logOf(rebuilt(["1"]));
    const strangers = ["a", "b", "c"].map((text) => rebuilt([text])[1] as Buffer);
    expect(judged(Buffer.concat([bytes, Buffer.from("garbage\n"), logOf(strangers).bytes]))).toBeUndefined();
  });
});

describe("where sectors and lines end together", () => {
  /** Header and lines 1 and 2; line 2 ends, without its line end, with a sector. */
  function aligned(): Log {
    const make = (pad: number): Log => {
      const writer = new LineWriter();
      return logOf([writer.header(), writer.message(long("1")), writer.message("2".padEnd(pad))]);
    };
    const end = ({ starts }: Log): number => (starts[3] as number) - 1;
    const log = make(SECTOR + ((SECTOR - (end(make(SECTOR)) % SECTOR)) % SECTOR));
    expect(end(log) % SECTOR).toBe(0);
    return log;
  }

  it("a hole up to the end of a line is one", () => {
    const log = aligned();
    const alone = Buffer.from(log.bytes);
    expect(judged(alone.fill(0, alone.length - 41, alone.length - 1))).toBeUndefined();
    expect(judged(alone.fill("~", alone.length - 41, alone.length - 1))).toEqual({ seq: 2, offset: log.starts[2] });
  });
});

describe("an end that a line has lost", () => {
  const LONGEST = 8 * MIB;
  function logWith(bytes: number): Log {
    const make = (pad: number): Log => {
      const writer = new LineWriter();
      return logOf([writer.header(), writer.message(long("1")), writer.message("2".padEnd(pad))]);
    };
    const { starts } = make(SECTOR);
    return make(SECTOR + bytes - ((starts[3] as number) - 1 - (starts[2] as number)));
  }

  it("is noticed on the longest line there may be, and not looked for on more than that", () => {
    for (const [bytes, wanted] of [
      [LONGEST, true],
      [LONGEST + 1, false],
    ] as const) {
      const log = logWith(bytes);
      const lost = changed(log, log.bytes.length - 1);
      expect(lost.length - (log.starts[2] as number)).toBe(bytes + 1);
      expect(judged(lost, LONGEST), `${bytes} bytes`).toEqual(wanted ? { seq: 2, offset: log.starts[2] } : undefined);
    }
  });

  it("is noticed however long the log before it is", () => {
    const writer = new LineWriter();
    const log = logOf([writer.header(), writer.message("1".padEnd(5 * MIB)), writer.message("2".padEnd(5 * MIB)), writer.message("3")]);
    expect(judged(changed(log, log.bytes.length - 1))).toEqual({ seq: 3, offset: log.starts[3] });
  });

  it("is noticed up to eight bytes of it", () => {
    const log = logOf(rebuilt(["1", "2"]));
    for (const [count, wanted] of [
      [9, { seq: 2, offset: log.starts[2] }],
      [10, undefined],
    ] as const)
      // The last one is the line end.
      expect(judged(Buffer.from(log.bytes).fill("~", log.bytes.length - count)), `${count} bytes`).toEqual(wanted);
  });
});

describe("what looks like an entry", () => {
  const spoilt = (begin: number, end: boolean): Damage | undefined => {
    const log = logOf(rebuilt(["1", "2"]));
    const bytes = Buffer.from(log.bytes).fill("~", log.starts[2] as number, (log.starts[2] as number) + begin);
    if (end) bytes[bytes.length - 50] = 0x7e;
    return judged(bytes);
  };

  it("has five of the first thirteen bytes right, or the name of its hash in place", () => {
    expect(spoilt(8, true)).toBeDefined();
    expect(spoilt(9, true)).toBeUndefined();
    expect(spoilt(9, false)).toBeDefined();
    expect(spoilt(500, false)).toBeDefined();
  });

  it("is more than a hash", () => {
    const log = logOf(rebuilt(["1", "2"]));
    const trailer = log.bytes.subarray(log.bytes.length - 55);
    expect(trailer.toString()).toMatch(/^,"hash":"/);
    expect(judged(Buffer.concat([log.bytes, trailer]))).toBeUndefined();
  });
});

describe("half of a batch", () => {
  it("with whole lines behind it is damage: whoever wrote them had seen its end", () => {
    const writer = new LineWriter();
    const lines = [writer.header(), writer.message("1")];
    const [half] = writer.batch(["2", "3"]) as [Buffer];
    writer.seq -= 1;
    writer.hash = (JSON.parse(half.toString()) as Entry).hash;
    lines.push(half, writer.message("whole"));
    const log = logOf(lines);
    expect(judged(log.bytes)).toEqual({ seq: 2, offset: log.starts[3] });
    expect(judged(log.bytes.subarray(0, log.starts[3]))).toBeUndefined();
  });
});

describe("damage over more than one group can have", () => {
  const header = (): Buffer[] => rebuilt(["1"]);
  const behind = (tail: Buffer): [Buffer, number] => {
    const { bytes } = logOf(header());
    return [Buffer.concat([bytes, tail]), bytes.length];
  };

  it("is no torn tail if it has lines, wherever in it the first ends", () => {
    for (const at of [0, 1024, 8 * MIB]) {
      const tail = Buffer.alloc(8 * MIB + 1, "x");
      tail[at] = 10;
      const [bytes, offset] = behind(tail);
      expect(judged(bytes), `line end at ${at}`).toEqual({ seq: 2, offset });
    }
    const edge = Buffer.alloc(8 * MIB, "x");
    edge[1024] = 10;
    expect(judged(behind(edge)[0])).toBeUndefined();
  });

  it("is no torn tail only because of a line end behind the longest line there may be", () => {
    const tail = Buffer.alloc(9 * MIB, "x");
    tail[8 * MIB + 1] = 10;
    expect(judged(behind(tail)[0])).toBeUndefined();
    const [bytes, offset] = behind(tail);
    expect(judged(bytes, 9 * MIB)).toEqual({ seq: 2, offset });
  });

  it("is one long line that was cut off, if it has none", () => {
    expect(judged(behind(Buffer.alloc(9 * MIB, "x"))[0], 16 * MIB)).toBeUndefined();
  });
});
