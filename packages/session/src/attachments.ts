import { AixgoError, isAixgoError, type Json, type Message } from "@aixgo/core";
import { freezeJson } from "@aixgo/security";
import { attachmentsIn, attachmentUrl, digestOf, digestsIn, mapFiles } from "./attachment-address.ts";
import { Digester } from "./blob.ts";
import type { BlobStore, Ref, SessionBackend } from "./contract.ts";
import type { Outgoing } from "./outbox.ts";

/** What agents are given inline: each attachment up to the first, together up to the second, the latest messages first. */
export const AGENT_LIMITS: InlineLimits = { eachBytes: 8 * 1024 * 1024, allBytes: 32 * 1024 * 1024 };
/** Chunks of what is given as one piece. */
const CHUNK_BYTES = 256 * 1024;
const MAX_REMEMBERED = 256;

export interface InlineLimits {
  readonly eachBytes: number;
  readonly allBytes: number;
}

/** The attachments of one session, as this process uses them. */
export class Attachments {
  readonly #ref: Ref;
  readonly #blobs: BlobStore | undefined;
  readonly #backend: SessionBackend;
  #storing: Promise<void> | undefined;
  /** Digests that were found to be larger than agents are given: not read again to find out. */
  readonly #large = new Set<string>();

  constructor(backend: SessionBackend, ref: Ref) {
    this.#backend = backend;
    this.#blobs = backend.blobs;
    this.#ref = ref;
  }

  /** Undefined: this store has no attachments, content stays in the messages. */
  get maxBytes(): number | undefined {
    return this.#blobs === undefined ? undefined : (this.#backend.capabilities.maxBlobBytes ?? Number.MAX_SAFE_INTEGER);
  }

  get isIdle(): boolean {
    return this.#storing === undefined;
  }

  /**
   * Makes sure that attachments are in the store. Callers that have something to store, or come after one that has, go on in the order in which they came;
   * undefined: there is nothing to wait for.
   */
  store(outgoing: readonly Outgoing[]): Promise<void> | undefined {
    const before = this.#storing;
    if (outgoing.length === 0 && before === undefined) return undefined;
    const mine = (async () => {
      await before?.catch(() => undefined);
      for (const each of outgoing) await this.#storeOne(each);
    })();
    this.#storing = mine;
    const done = (): void => {
      if (this.#storing === mine) this.#storing = undefined;
    };
    mine.then(done, done);
    return mine;
  }

  async #storeOne({ digest, bytes }: Outgoing): Promise<void> {
    const blobs = this.#blobs as BlobStore;
    if (bytes !== undefined) await blobs.put(this.#ref, digest, chunksOf(bytes));
    else if (!(await blobs.touch(this.#ref, digest))) throw this.#unknown(digest);
  }

  /** Stores a body that is not in memory. Undefined: this store has no attachments. */
  async put(body: AsyncIterable<Uint8Array> | Uint8Array, signal: AbortSignal | undefined): Promise<string | undefined> {
    if (this.#blobs === undefined) return undefined;
    const chunks = body instanceof Uint8Array ? chunksOf(body) : body;
    return attachmentUrl(await this.#blobs.put(this.#ref, undefined, chunks, signal === undefined ? {} : { signal }));
  }

  /** The bytes behind an address. Throws `ENTRY_CORRUPT` after the last chunk if they are not those that were stored. */
  async *read(url: string, signal?: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const digest = digestOf(url);
    if (digest === undefined) throw new AixgoError("INVALID_INPUT", "this is no attachment: address");
    if (this.#blobs === undefined) throw this.#unknown(digest);
    const digester = new Digester();
    for await (const chunk of this.#blobs.get(this.#ref, digest, signal === undefined ? {} : { signal })) {
      digester.add(chunk);
      yield chunk;
    }
    if (digester.end() !== digest) {
      throw new AixgoError(
        "ENTRY_CORRUPT",
        `attachment ${digest} of session ${this.#ref.id} does not agree with its digest: its bytes are damaged`,
        {
          details: { session: this.#ref.id, digest },
        },
      );
    }
  }

  /** The message with all its attachments as `data:` addresses. Throws what `read` throws. */
  async inline(message: Message): Promise<Message> {
    const urls = attachmentsIn(message.parts);
    if (urls.size === 0) return message;
    const found = new Map<string, string>();
    for (const url of urls) found.set(url, (await this.#base64Of(url, Number.POSITIVE_INFINITY)) as string);
    return withData(message, found);
  }

  /**
   * The messages as an agent is given them, who cannot read the store: attachments within `AGENT_LIMITS` as `data:` addresses.
   * Others keep their `attachment:` address, also those that are lost or damaged: a conversation goes on without them.
   */
  async forAgent(messages: readonly Message[]): Promise<readonly Message[]> {
    if (this.#blobs === undefined) return messages;
    let given: Message[] | undefined;
    let left = AGENT_LIMITS.allBytes;
    const found = new Map<string, string>();
    for (let index = messages.length - 1; index >= 0; index -= 1) {
      const message = messages[index] as Message;
      const urls = attachmentsIn(message.parts);
      if (urls.size === 0) continue;
      for (const url of urls) {
        const known = found.get(url);
        const base64 = known ?? (await this.#base64Of(url, Math.min(left, AGENT_LIMITS.eachBytes)).catch(lost));
        if (base64 === undefined) continue;
        const bytes = Buffer.byteLength(base64, "base64");
        if (bytes > left) continue;
        left -= bytes;
        found.set(url, base64);
      }
      (given ??= [...messages])[index] = withData(message, found);
    }
    return given ?? messages;
  }

  /** Removes what no entry names and nobody has stored lately. */
  async collect(olderThanMs: number): Promise<number> {
    if (this.#blobs === undefined) return 0;
    const named = new Set<string>();
    for await (const page of this.#backend.read(this.#ref)) for (const digest of digestsIn(page)) named.add(digest);
    return this.#blobs.collect(this.#ref, named, olderThanMs);
  }

  /** Undefined: more than `maxBytes`. */
  async #base64Of(url: string, maxBytes: number): Promise<string | undefined> {
    if (maxBytes <= AGENT_LIMITS.eachBytes && this.#large.has(url)) return undefined;
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of this.read(url)) {
      bytes += chunk.length;
      if (bytes > maxBytes) {
        if (maxBytes === AGENT_LIMITS.eachBytes && this.#large.size < MAX_REMEMBERED) this.#large.add(url);
        return undefined;
      }
      chunks.push(chunk);
    }
    return Buffer.concat(chunks, bytes).toString("base64");
  }

  #unknown(digest: string): AixgoError {
    return new AixgoError("ENTRY_NOT_FOUND", `session ${this.#ref.id} has no attachment ${digest}. Give its bytes, or attach them first`);
  }
}

function withData(message: Message, found: ReadonlyMap<string, string>): Message {
  const parts = mapFiles(message.parts, (file) => {
    const base64 = found.get(file.url);
    return base64 === undefined ? file : { ...file, url: `data:${file.mediaType};base64,${base64}` };
  });
  return parts === message.parts ? message : (freezeJson({ ...message, parts } as unknown as Json) as unknown as Message);
}

function lost(error: unknown): undefined {
  if (isAixgoError(error, "ENTRY_NOT_FOUND") || isAixgoError(error, "ENTRY_CORRUPT")) return undefined;
  throw error;
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES);
}
