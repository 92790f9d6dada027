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
  const refuseAborted = (): void => {
    if (signal?.aborted === true)
      throw new AixgoError("CANCELLED", `${operation} was cancelled; nothing was stored`, { cause: signal.reason });
  };
  let bytes = 0;
  refuseAborted();
  for await (const chunk of body) {
    refuseAborted();
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

export function tooLarge(operation: string, maxBytes: number): AixgoError {
  return new AixgoError(
    "LIMIT_EXCEEDED",
    `${operation}: an attachment has more than the ${maxBytes} bytes that this store takes; nothing was stored`,
    {
      details: { maxBytes },
    },
  );
}
