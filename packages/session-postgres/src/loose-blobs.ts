import type { Store } from "./store.ts";

/** Taken away by one statement: long blobs go piece by piece, each within the deadline. */
const CHUNKS = 64;
/** Blobs that one call takes away at most; the next one goes on. */
const MOST = 1024;

/** Takes the chunks of a blob away that no session names. */
export async function purgeBlob({ connections, statements }: Store, doing: string, blob: string): Promise<void> {
  if (blob === "0") return;
  for (;;) {
    const [row] = await connections.run({ doing, effect: "read", text: statements.purgeBlob, values: [blob, CHUNKS] });
    if (row?.["done"] !== false) return;
  }
}

/** What has lost its last name, and puts that broke off more than a day ago. */
export async function purgeLooseBlobs(store: Store): Promise<void> {
  const doing = "clear away attachments that nothing names";
  const seen = new Set<string>();
  while (seen.size < MOST) {
    const rows = await store.connections.run({ doing, effect: "read", text: store.statements.looseBlobs });
    const blobs = rows.map(({ blob }) => String(blob)).filter((blob) => !seen.has(blob));
    // Those that another node is at are left to it.
    if (blobs.length === 0) return;
    for (const blob of blobs) {
      seen.add(blob);
      await purgeBlob(store, doing, blob);
    }
  }
}
