import { AixgoError } from "@aixgo/core";

/** Content as a `data:` address, for stores without attachments. Throws `LIMIT_EXCEEDED` for what no message could hold. */
export async function inlineContent(
  id: string,
  content: Uint8Array | AsyncIterable<Uint8Array>,
  mediaType: string,
  maxBytes: number,
  signal: AbortSignal | undefined,
): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const add = (chunk: Uint8Array): void => {
    bytes += chunk.length;
    // Base64 has four characters for three bytes.
    if ((bytes * 4) / 3 > maxBytes) {
      throw new AixgoError(
        "LIMIT_EXCEEDED",
        `content for session ${id} is longer than a message may be, and its store has no attachments`,
        {
          details: { maxBytes },
        },
      );
    }
    chunks.push(chunk.slice());
  };
  if (content instanceof Uint8Array) add(content);
  else {
    for await (const chunk of content) {
      if (signal?.aborted === true) throw new AixgoError("CANCELLED", `attaching to session ${id} was cancelled`, { cause: signal.reason });
      if (!(chunk instanceof Uint8Array)) throw new AixgoError("INVALID_INPUT", `a chunk of content for session ${id} is no Uint8Array`);
      add(chunk);
    }
  }
  return `data:${mediaType};base64,${Buffer.concat(chunks, bytes).toString("base64")}`;
}
