import { createHash } from "node:crypto";
import { AixgoError } from "@aixgo/core";

const DIGEST = /^sha256-[0-9a-f]{64}$/;

export function isDigest(value: unknown): value is string {
  return typeof value === "string" && DIGEST.test(value);
}

/** Throws `INVALID_INPUT`. What passes is safe as part of a file name or a key. */
export function assertDigest(digest: string): void {
  if (!isDigest(digest)) throw new AixgoError("INVALID_INPUT", `a digest is "sha256-" and 64 hexadecimal digits in lower case`);
}

/** Computes a digest piece by piece. */
export class Digester {
  readonly #hash = createHash("sha256");

  add(chunk: Uint8Array): void {
    this.#hash.update(chunk);
  }

  /** Once. */
  end(): string {
    return `sha256-${this.#hash.digest("hex")}`;
  }
}

/**
 * Draws a blob's body and hands each chunk to `write`, for a backend's `put`. Answers with the digest, for which the backend
 * may then keep what was written. Throws `LIMIT_EXCEEDED`, `INVALID_INPUT` (another digest than expected, no bytes),
 * `CANCELLED`, and what the body throws; the body is let go of then.
 */
export async function receiveBlob(
  request: {
    /** What is done, on which session: for messages. */
    readonly operation: string;
    readonly body: AsyncIterable<Uint8Array>;
    readonly expected: string | undefined;
    readonly maxBytes: number;
    readonly signal: AbortSignal | undefined;
  },
  write: (chunk: Uint8Array) => void | Promise<void>,
): Promise<string> {
  const { operation, body, expected, maxBytes, signal } = request;
  const digester = new Digester();
  let bytes = 0;
  for await (const chunk of until(signal, operation, body)) {
    if (!(chunk instanceof Uint8Array)) throw new AixgoError("INVALID_INPUT", `${operation}: a chunk is no Uint8Array; nothing was stored`);
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooLarge(operation, maxBytes);
    digester.add(chunk);
    await write(chunk);
  }
  const digest = digester.end();
  if (expected !== undefined && digest !== expected) {
    throw new AixgoError("INVALID_INPUT", `${operation}: the bytes have another digest than the one given; nothing was stored`);
  }
  return digest;
}

/** The body up to the end or the signal: a source that stalls must not keep who gave up. */
async function* until(signal: AbortSignal | undefined, operation: string, body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (signal === undefined) {
    yield* body;
    return;
  }
  const cancelled = (): AixgoError =>
    new AixgoError("CANCELLED", `${operation} was cancelled; nothing was stored`, { cause: signal.reason });
  if (signal.aborted) throw cancelled();
  const stop = new AbortController();
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(cancelled()), { signal: stop.signal });
  });
  aborted.catch(() => undefined);
  const source = body[Symbol.asyncIterator]();
  let isDone = false;
  try {
    for (;;) {
      const next = await Promise.race([source.next(), aborted]);
      isDone = next.done === true;
      if (next.done === true) return;
      yield next.value;
      if (signal.aborted) throw cancelled();
    }
  } finally {
    stop.abort();
    // Not waited for: it may be what stalls.
    if (!isDone) source.return?.()?.catch(() => undefined);
  }
}

export function tooLarge(operation: string, maxBytes: number): AixgoError {
  return new AixgoError(
    "LIMIT_EXCEEDED",
    `${operation}: an attachment has more than the ${maxBytes} bytes that this store takes; nothing was stored`,
    {
      details: { maxBytes },
    },
  );
}
