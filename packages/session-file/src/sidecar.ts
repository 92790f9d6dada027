import { encodeSegment } from "@aixgo/security";
import { overwriteNow, removeFile } from "./durable.ts";
import type { Layout } from "./layout.ts";
import type { Reading } from "./reading.ts";
import { encodeRecord, readRecord } from "./record.ts";
import { hashAgrees, JOINT_BYTES, jointOf, type LogState } from "./scan.ts";

/** A log grows by this much before its sidecar is written again, so that opening costs at most as much. */
export const SIDECAR_EVERY_BYTES: number = 1024 * 1024;

/** Remembers the state of a log so that opening it need not read it whole. A cache: not synced, and never trusted on its word. */
export function writeSidecar(layout: Layout, id: string, state: LogState): void {
  try {
    overwriteNow(pathOf(layout, id), encodeRecord(state));
  } catch {
    // Without a sidecar the log is read whole.
  }
}

export function removeSidecar(layout: Layout, id: string): void {
  removeFile(pathOf(layout, id));
}

/** The remembered state, if the log still has the line that it ends with. */
export function* readSidecar(layout: Layout, id: string, size: number): Reading<LogState | undefined> {
  const state = readRecord(pathOf(layout, id)) as LogState | undefined;
  if (state === undefined || state.head.id !== id || state.head.bytes > size || state.lastStart >= state.head.bytes) return undefined;
  const back = Math.min(JOINT_BYTES, state.lastStart);
  const bytes = yield { offset: state.lastStart - back, length: state.head.bytes - state.lastStart + back };
  const end = bytes.length - 1;
  if (bytes.length !== state.head.bytes - state.lastStart + back || bytes[end] !== 0x0a) return undefined;
  const previous = back === 0 ? state.head.incarnation : bytes.toString("latin1", 0, JOINT_BYTES - 3);
  if (!hashAgrees(bytes, back, end, previous) || bytes.toString("latin1", bytes.length - JOINT_BYTES) !== jointOf(state.head.hash))
    return undefined;
  return state;
}

function pathOf(layout: Layout, id: string): string {
  return layout.own("heads", encodeSegment(id));
}
