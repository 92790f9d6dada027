import { fsyncSync } from "node:fs";
import { encodeSegment } from "@aixgo/security";
import { Draft, removeFile, syncFolderNow } from "./durable.ts";
import type { Layout } from "./layout.ts";
import { readSmallFile } from "./record.ts";

/**
 * Wrapped data keys of a session: opaque bytes, which survive a rewrite. They are written rarely, before the lines that need
 * them, under the session's lock, and wholly durable: lost keys are lost data.
 */
export function readWrapped(layout: Layout, id: string): Uint8Array | undefined {
  return readSmallFile(pathOf(layout, id));
}

export function writeWrapped(layout: Layout, id: string, keys: Uint8Array | undefined, durable: boolean): void {
  if (keys === undefined) return removeWrapped(layout, id, durable);
  const draft = new Draft(layout.part("drafts"));
  try {
    draft.write(keys, 0);
    if (durable) fsyncSync(draft.fd);
    draft.publish(pathOf(layout, id));
    if (durable) syncFolderNow(layout.part("wrapped"));
  } finally {
    draft.discard();
  }
}

/** Keys that came back after a power cut would open what was erased. */
export function removeWrapped(layout: Layout, id: string, durable: boolean): void {
  if (removeFile(pathOf(layout, id)) && durable) syncFolderNow(layout.part("wrapped"));
}

function pathOf(layout: Layout, id: string): string {
  return layout.own("wrapped", encodeSegment(id));
}
