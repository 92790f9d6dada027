import { writeAll } from "./durable.ts";
import { offsetOf } from "./offsets.ts";
import type { OpenLog } from "./open-log.ts";
import { readNow, SYNC_BYTES, type Reading } from "./reading.ts";

/** A disk that fails for so many sessions at once is none; of the oldest nobody may hear again. */
const MAX_TAILS = 10_000;

/**
 * Sessions of which a sync failed. The kernel may have dropped what it could not write, shows it to readers all the same, and
 * calls the next sync a success: so the bytes are written again before one counts.
 */
export class DroppedTails {
  readonly #ids = new Set<string>();

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  add(id: string): void {
    this.#ids.add(id);
    if (this.#ids.size > MAX_TAILS) this.#ids.delete(this.#ids.values().next().value as string);
  }

  delete(id: string): void {
    if (this.#ids.size > 0) this.#ids.delete(id);
  }

  /** Under the lock: writes everything again that the last line does not call durable, in its place. */
  writeAgain(log: OpenLog): void {
    const { head, sync } = log.state;
    const from = readNow(log.fd, offsetOf(head, (sync ?? -1) + 1));
    for (let at = from; at < head.bytes; at += SYNC_BYTES) {
      const length = Math.min(SYNC_BYTES, head.bytes - at);
      writeAll(log.fd, readNow(log.fd, part(at, length)), at);
    }
  }
}

function* part(offset: number, length: number): Reading<Buffer> {
  return yield { offset, length };
}
