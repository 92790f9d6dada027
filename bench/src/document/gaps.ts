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
    "turn-*",
    "a turn's two appends carry four lines and the lease, those of the floor two lines. On Redis the two take 1.5 times as long as two plain ones (390 of 640 µs). What is left is JavaScript between two waits for the store, which finds its caches cold: the same turn takes 90 µs in memory, where nothing is waited for, and a third of that is the log. A tenth is the price of `AsyncLocalStorage` in Node 20, which tells a call that it runs inside a turn. Tried and kept: no question to the store before the first append (one round trip less), no digest of the input without a key, no look at the entry at the head. Beside a call of a model it is not to be seen.",
  ],
  [
    "redis-append",
    "the script must compare the head, store line, head and marks, and raise the session in the lists; the floor's stores the same bytes and compares nothing. Most of the script's time is in calling it, so that fewer commands inside it gained little.",
  ],
  [
    "redis-8-processes-*",
    "Redis serves whoever asks first; writers stand back for a few round trips after each append that met others. Eight processes and a server share two processors here, so the worst wait is mostly a wait for a processor.",
  ],
  [
    "postgres-append*",
    "the statement takes 540 of 750 µs, where the floor's insert takes 340. A function with a bare UPDATE of one row and the insert takes 360 to 410; the rest is what ours does beside: it compares version, chain and lease, takes its arguments as one row, cuts the lines out of one value, and answers with the new head as JSON. The UPDATE touches no index (lists are ordered by a time that moves every 10 s) and the pages of the row keep room for it. It is not prepared by name, which no pooler in transaction mode would keep (20 µs). The other 200 µs are JavaScript between the driver and the session, run cold after a wait, against 50 for Redis: arguments as literals, two deadlines, a connection from the pool, the place in a group.",
  ],
  ["create-disk*", "both sides wait for one commit of the file system's journal. Ours also writes the lock, the index and the catalog."],
];

/** Why this row misses its target, if that is known. */
export function gapOf(row: string): string | undefined {
  return GAPS.find(([name]) => (name.endsWith("*") ? row.startsWith(name.slice(0, -1)) : row === name))?.[1];
}
