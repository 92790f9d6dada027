import { read, readSync } from "node:fs";

export interface Wanted {
  readonly offset: number;
  readonly length: number;
}

/** An algorithm over a file that says which bytes it wants next, so that it can run at once, inside a lock, or asynchronously. It gets fewer bytes only at the file's end. */
export type Reading<T> = Generator<Wanted, T, Buffer>;

export const PAGE_BYTES: number = 64 * 1024;
/** Up to here reads are synchronous: the thread pool costs four times as much for small ones, and waits behind fdatasyncs. */
export const SYNC_BYTES: number = 1024 * 1024;

export function readNow<T>(fd: number, reading: Reading<T>): T {
  let step = reading.next();
  while (step.done !== true) step = reading.next(bytesNow(fd, step.value));
  return step.value;
}

/** `look` is shown what was read. */
export async function readLater<T>(fd: number, reading: Reading<T>, look?: (bytes: Buffer) => void): Promise<T> {
  let left = SYNC_BYTES;
  let step = reading.next();
  while (step.done !== true) {
    const wanted = step.value;
    left -= wanted.length;
    const bytes = left >= 0 ? bytesNow(fd, wanted) : await bytesLater(fd, wanted);
    look?.(bytes);
    step = reading.next(bytes);
  }
  return step.value;
}

function bytesNow(fd: number, { offset, length }: Wanted): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let at = 0;
  while (at < length) {
    const count = readSync(fd, bytes, at, length - at, offset + at);
    if (count === 0) break;
    at += count;
  }
  return bytes.subarray(0, at);
}

async function bytesLater(fd: number, { offset, length }: Wanted): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  let at = 0;
  while (at < length) {
    const count = await new Promise<number>((done, fail) => {
      read(fd, bytes, at, length - at, offset + at, (error, n) => (error === null ? done(n) : fail(error)));
    });
    if (count === 0) break;
    at += count;
  }
  return bytes.subarray(0, at);
}
