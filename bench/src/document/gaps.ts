/**
 * What a row's profile says of a missed target, and what was tried to reach it. Shown only for rows that a run has missed.
 * A trailing `*` stands for any ending.
 */
const GAPS: readonly (readonly [row: string, text: string])[] = [
  [
    "append-disk-64-*",
    "about 6.5 µs an entry are JavaScript: one `JSON.stringify` and one SHA-256 of the line as in the floor, and beside them the check and copy of what the caller gave (1 µs), the entry's promise and place in the queue, and its memory (garbage collection is an eighth). Lines are hashed and parsed once between session and file: the store takes over what the session has built. The rest is one write and one fdatasync, as in the floor.",
  ],
  [
    "resume-10000",
    "1.4 to 2.1 in five runs: both sides are mostly the parser and the garbage collector, and the floor swings between 18 and 27 ms. Beside parsing, each line is hashed and its message frozen.",
  ],
  [
    "append-disk",
    "1.1 to 1.45 in five runs, with a floor of 250 to 290 µs: one write and one fdatasync on both sides, and about 60 µs of JavaScript run cold after the wait, a third of it before the write.",
  ],
  [
    "turn-*",
    "a turn's two appends carry four lines and the lease, those of the floor two lines. On Redis the two take 1.5 times as long as two plain ones (390 of 640 µs). What is left is JavaScript between two waits for the store, which finds its caches cold: the same turn takes 90 µs in memory, where nothing is waited for, and a third of that is the log. A tenth is the price of `AsyncLocalStorage` in Node 20, which tells a call that it runs inside a turn. Tried and kept: no question to the store before the first append (one round trip less), no digest of the input without a key, no look at the entry at the head. Beside a call of a model it is not to be seen.",
  ],
  [
    "redis-append",
    "run by itself an append takes 50 µs, the floor 44; of these the server runs the script for 12, which compares the head and the lease first, and for 9. Call by call in turn, as here, both run cold, and ours has more code to load: the line is built, checked, hashed, folded into the next head.",
  ],
  [
    "redis-8-processes-*",
    "Redis serves whoever asks first; writers stand back for a few round trips after each append that met others. Eight processes and a server share two processors here, so the worst wait is mostly a wait for a processor.",
  ],
  [
    "postgres-append*",
    "the statement takes 540 of 750 µs, where the floor's insert takes 340. A function with a bare UPDATE of one row and the insert takes 360 to 410; the rest is what ours does beside: it compares version, chain and lease, takes its arguments as one row, cuts the lines out of one value, and answers with the new head as JSON. The UPDATE touches no index (lists are ordered by a time that moves every 10 s) and the pages of the row keep room for it. It is not prepared by name, which no pooler in transaction mode would keep (20 µs). The other 200 µs are JavaScript between the driver and the session, run cold after a wait, against 50 for Redis: arguments as literals, two deadlines, a connection from the pool, the place in a group.",
  ],
  [
    "create-disk*",
    "both sides wait for one commit of the file system's journal: 370 of 700 µs, for syncing file and folder at once costs no more than one after the other. The rest are some 25 system calls beside it (lock, tombstone, index, the catalog's two lines, the rename) in code that runs cold after the wait: the same create without syncs takes 140 µs when it runs hot. A key is a file of its own, with a commit before the session's.",
  ],
];

/** Why this row misses its target, if that is known. */
export function gapOf(row: string): string | undefined {
  return GAPS.find(([name]) => (name.endsWith("*") ? row.startsWith(name.slice(0, -1)) : row === name))?.[1];
}
