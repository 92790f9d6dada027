import { ForeignError } from "./sqlite-errors.ts";

/** What a caller gives piece by piece. What its source throws is marked, so that it reaches the caller as it is. */
export async function* fromCaller(source: () => AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const iterator = ours(() => source()[Symbol.asyncIterator]());
  let isDone = false;
  try {
    for (;;) {
      isDone = true;
      const next = await iterator.next().catch((error: unknown) =>
        ours(() => {
          throw error;
        }),
      );
      if (next.done === true) return;
      isDone = false;
      yield next.value;
    }
  } finally {
    if (!isDone) await iterator.return?.();
  }
}

function ours<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw new ForeignError(error);
  }
}
