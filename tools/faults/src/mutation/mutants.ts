/** A place in a compiled file of ours, and what stands there instead. */
export interface Change {
  /** Below `packages/`. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export interface Mutant {
  readonly name: string;
  /** The row that must notice it. */
  readonly row: string;
  /** What is broken. */
  readonly breaks: string;
  readonly changes: readonly Change[];
}

const FILE = "session-file/dist";

/**
 * Ways to break what the rows guard. None of this is in the packages: a process that is started with one loads the packages'
 * modules with these texts exchanged. `stops in the lock` breaks nothing; it puts a process where a signal hits it once in a million.
 */
export const MUTANTS: readonly Mutant[] = [
  {
    name: "answer before the write",
    row: "R1",
    breaks: "an append is acknowledged 20 ms before it is written",
    changes: [
      {
        file: `${FILE}/journal.js`,
        from: "const count = writeSync(log.fd, joined, JOINT_BYTES, length, end);",
        to: "const count = length; setTimeout(() => writeSync(log.fd, joined, JOINT_BYTES, length, end), 20);",
      },
    ],
  },
  {
    name: "no fdatasync",
    row: "R2",
    breaks: "appends are acknowledged without fdatasync",
    changes: [{ file: `${FILE}/durable.js`, from: "fdatasync(fd, (error) =>", to: "setImmediate((error = null) =>" }],
  },
  {
    name: "no fsync of folders",
    row: "R2",
    breaks: "names of new logs and tombstones are not made durable",
    changes: [
      {
        file: `${FILE}/durable.js`,
        from: "export async function syncFolder(path) {",
        to: "export async function syncFolder(path) { return;",
      },
      { file: `${FILE}/durable.js`, from: "export function syncFolderNow(path) {", to: "export function syncFolderNow(path) { return;" },
      // Without it a header's own sync would carry its name along.
      { file: `${FILE}/creation.js`, from: "...(staged.synced ? [] : [syncFile(staged.draft.fd)]),", to: "" },
    ],
  },
  {
    name: "log removed before its tombstone",
    row: "R3",
    breaks: "delete takes the log away first and says so afterwards",
    changes: [
      { file: `${FILE}/removal.js`, from: "tombstones.place(written, ref.id, durable);", to: "" },
      {
        file: `${FILE}/removal.js`,
        from: "removeFile(log.path);",
        to: "removeFile(log.path); tombstones.place(written, ref.id, durable);",
      },
    ],
  },
  {
    name: "catalog told afterwards only",
    row: "R3",
    breaks: "the catalog does not hear of a delete before it is made",
    changes: [{ file: `${FILE}/removal.js`, from: "store.catalog.doubt(ref.id, log.folder);", to: "" }],
  },
  {
    name: "torn tail stays",
    row: "R4",
    breaks: "recovery does not cut a torn tail off",
    changes: [{ file: `${FILE}/recovery.js`, from: "ftruncateSync(fd, end);", to: "" }],
  },
  {
    name: "damage taken for a torn tail",
    row: "R5",
    breaks: "damage with nothing behind it is left out like a write that was cut off",
    changes: [{ file: `${FILE}/recovery.js`, from: "tooLong || wasWhole(bytes, bad, badEnd, badAt)", to: "tooLong" }],
  },
  {
    name: "no hash",
    row: "R5",
    breaks: "the hash of a line is not compared",
    changes: [
      {
        file: "session/dist/chain.js",
        from: 'return at > start && bytes.toString("latin1", at, end) === HASH_KEY + hash + CLOSE;',
        to: "return at > start;",
      },
    ],
  },
  {
    name: "failed sync passed over",
    row: "R6",
    breaks: "an error of fdatasync is taken for success",
    changes: [{ file: `${FILE}/durable.js`, from: "if (error !== null)", to: "if (false)" }],
  },
  {
    name: "short write passed over",
    row: "R6",
    breaks: "the count that a write answers with is not compared",
    changes: [{ file: `${FILE}/journal.js`, from: "if (count !== length)", to: "if (false)" }],
  },
  {
    name: "no lock",
    row: "R7",
    breaks: "writers do not wait for each other",
    changes: [{ file: `${FILE}/stripes.js`, from: "if (!engine.tryLock(file.fd, file.path))", to: "if (false)" }],
  },
  {
    name: "lease runs out at once",
    row: "R8",
    breaks: "a turn is taken over while it runs",
    changes: [
      { file: `${FILE}/lease.js`, from: "export function remainingMs(record) {", to: "export function remainingMs(record) { return 0;" },
    ],
  },
  {
    name: "evicted logs stay open",
    row: "R12",
    breaks: "a log that is not used any more keeps its descriptor",
    changes: [{ file: `${FILE}/open-logs.js`, from: "oldest.close();", to: "" }],
  },
  {
    name: "no limit of a line",
    row: "R13",
    breaks: "a line above the stated limit is written",
    changes: [
      { file: `${FILE}/journal.js`, from: "if (line.length > maxLineBytes) {", to: "if (false) {" },
      { file: "session/dist/manager-options.js", from: "Math.min(options.maxMessageBytes ?? most, most)", to: "Infinity" },
    ],
  },
  {
    name: "stops in the lock",
    row: "R8",
    breaks: "nothing: the process stops itself inside the lock when it writes its second group",
    changes: [
      {
        file: `${FILE}/stripes.js`,
        from: "return { value: body() };",
        to: 'const value = body(); if (globalThis.aixgoStopInLock === stripe) { globalThis.aixgoStopInLock = undefined; process.kill(process.pid, "SIGSTOP"); } return { value };',
      },
    ],
  },
];

export function mutantNamed(name: string): Mutant {
  const found = MUTANTS.find((mutant) => mutant.name === name);
  if (found === undefined) throw new Error(`there is no mutant ${JSON.stringify(name)}`);
  return found;
}

/** Throws if a text is not there exactly once: the code has moved on, and the mutant must follow. */
export function applied(source: string, changes: readonly Change[]): string {
  let text = source;
  for (const { file, from, to } of changes) {
    const at = text.indexOf(from);
    if (at < 0 || text.includes(from, at + 1)) throw new Error(`${file} does not hold exactly once: ${from}`);
    text = text.slice(0, at) + to + text.slice(at + from.length);
  }
  return text;
}
