/** A line that cannot be taken; the ones after it can. */
export interface BadLine {
  readonly problem: string;
}

const MAX_LINE_BYTES = 1024 * 1024;

/**
 * Lines of a byte stream, split at line feeds only: a message may hold U+2028, which other readers take for a line's end.
 * Text must be UTF-8, and a line must not be longer than 1 MiB; such a line is reported and passed over.
 */
export async function* readLines(input: AsyncIterable<Buffer>): AsyncGenerator<string | BadLine> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let kept: Buffer[] = [];
  let bytes = 0;
  const take = (): string | BadLine => {
    const whole = kept;
    const length = bytes;
    kept = [];
    bytes = 0;
    if (length > MAX_LINE_BYTES) return { problem: `the line has more than ${MAX_LINE_BYTES} bytes` };
    try {
      return decoder.decode(Buffer.concat(whole)).replace(/\r$/, "");
    } catch {
      return { problem: "the line is not UTF-8 text" };
    }
  };
  const keep = (piece: Buffer): void => {
    bytes += piece.length;
    if (bytes <= MAX_LINE_BYTES) kept.push(piece);
    else kept = [];
  };
  for await (const chunk of input) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      keep(chunk.subarray(start, end));
      start = end + 1;
      yield take();
    }
    keep(chunk.subarray(start));
  }
  if (bytes > 0) yield take();
}
