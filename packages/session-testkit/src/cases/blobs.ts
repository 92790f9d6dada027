import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Case } from "../harness/case.ts";
import { failsWith, refused } from "../harness/expect.ts";
import { createLog } from "../harness/log-builder.ts";
import { blobsOf, needsOffer } from "../harness/offers.ts";
import { linesFrom as chunksFrom, startSession } from "../harness/start-session.ts";
import { blobOf, digestOf, readBlob } from "../harness/blob.ts";

const needs = needsOffer("blobs");
const MIB = 1024 * 1024;
/** Longer than a busy machine stops between two calls. */
const OLD_MS = 3000;
/** A timer may fire a few milliseconds before a store's clock has counted them; what is old is older than by that. */
const CLOCK_STEP_MS = 100;

export const blobCases: readonly Case[] = [
  {
    id: "blobs/round-trip",
    sentence: "Stores bytes and answers with their digest; any node reads them.",
    needs,
    async run({ backend, open }) {
      const { ref } = await startSession(backend);
      const other = await open();
      const sizes = [0, 1, 65_536, 300_001];
      for (const size of sizes) {
        const bytes = randomBytes(size);
        const digest = digestOf(bytes);
        // Given and found out; in uneven chunks, some of them empty.
        const chunks = [bytes.subarray(0, 1), new Uint8Array(0), bytes.subarray(1, size >> 1), bytes.subarray(Math.max(1, size >> 1))];
        const known = size % 2 === 0 ? digest : undefined;
        assert.equal(await blobsOf(backend).put(ref, known, chunksFrom(size === 0 ? [] : chunks)), digest);
        for (const node of [backend, other]) assert.ok(bytes.equals(await readBlob(node, ref, digest)), `${size} bytes did not come back`);
      }
      // Whoever reads may change what was read, and whoever wrote may use the buffer again.
      const buffer = Buffer.from("the same");
      const digest = digestOf(buffer);
      await blobsOf(backend).put(ref, digest, chunksFrom([buffer]));
      buffer.fill(0);
      (await readBlob(backend, ref, digest)).fill(1);
      for await (const chunk of blobsOf(backend).get(ref, digest)) chunk.fill(2);
      assert.equal((await readBlob(other, ref, digest)).toString(), "the same");
    },
  },
  {
    id: "blobs/streamed",
    sentence: "The bytes in chunks of at most 1 MiB: 20 MiB come and go as a stream.",
    needs,
    async run({ backend, open }) {
      const { ref } = await startSession(backend);
      const chunks = Array.from({ length: 80 }, () => randomBytes(MIB / 4));
      const due = createHash("sha256");
      for (const chunk of chunks) due.update(chunk);
      const digest = await blobsOf(backend).put(ref, undefined, chunksFrom(chunks));
      assert.equal(digest, `sha256-${due.digest("hex")}`);
      const found = createHash("sha256");
      let largest = 0;
      for await (const chunk of blobsOf(await open()).get(ref, digest)) {
        found.update(chunk);
        largest = Math.max(largest, chunk.length);
      }
      assert.equal(`sha256-${found.digest("hex")}`, digest);
      assert.ok(largest <= MIB, `a chunk has ${largest} bytes`);
    },
  },
  {
    id: "blobs/refused",
    sentence: "Throws `INVALID_INPUT` if the bytes have another digest, and what `body` throws: nothing is stored then.",
    needs,
    async run({ backend, open }) {
      const { ref } = await startSession(backend);
      const { bytes, digest } = blobOf("right");
      await refused("INVALID_INPUT", () => blobsOf(backend).put(ref, digest, chunksFrom([Buffer.from("wrong")])));
      await refused("INVALID_INPUT", () => blobsOf(backend).put(ref, digest, chunksFrom([])));
      const failure = new Error("the source failed");
      await failsWith(
        failure,
        blobsOf(backend).put(
          ref,
          undefined,
          (async function* () {
            yield bytes;
            throw failure;
          })(),
        ),
      );
      const controller = new AbortController();
      await refused("CANCELLED", () =>
        blobsOf(backend).put(
          ref,
          undefined,
          (async function* () {
            yield bytes.subarray(0, 2);
            controller.abort();
            yield bytes.subarray(2);
          })(),
          { signal: controller.signal },
        ),
      );
      for (const node of [backend, await open()]) {
        await refused("ENTRY_NOT_FOUND", () => readBlob(node, ref, digest));
        await refused("ENTRY_NOT_FOUND", () => readBlob(node, ref, digestOf(Buffer.from("wrong"))));
        assert.equal(await blobsOf(node).touch(ref, digest), false);
      }
      await blobsOf(backend).put(ref, digest, chunksFrom([bytes]));
      assert.ok(bytes.equals(await readBlob(backend, ref, digest)));
    },
  },
  {
    id: "blobs/limit",
    sentence: "`LIMIT_EXCEEDED` above `maxBlobBytes`: nothing is stored.",
    needs,
    async run({ backend }) {
      const { ref } = await startSession(backend);
      const most = backend.capabilities.maxBlobBytes as number;
      const chunk = Buffer.alloc(MIB, 7);
      async function* long(): AsyncGenerator<Uint8Array> {
        for (let left = most + 1; left > 0; left -= chunk.length) yield chunk.subarray(0, Math.min(left, chunk.length));
      }
      await refused("LIMIT_EXCEEDED", () => blobsOf(backend).put(ref, undefined, long()));
      assert.equal(await blobsOf(backend).collect(ref, new Set(), 0), 0, "something was stored");
    },
  },
  {
    id: "blobs/digests",
    sentence: "`INVALID_INPUT` for what cannot be a digest.",
    needs,
    async run({ backend }) {
      const { ref } = await startSession(backend);
      const { digest } = blobOf("x");
      for (const wrong of ["", "../x", digest.toUpperCase(), `${digest}0`, digest.slice(0, -1), `md5-${digest.slice(7)}`, `${digest}\n`]) {
        await refused("INVALID_INPUT", () => blobsOf(backend).put(ref, wrong, chunksFrom([])));
        await refused("INVALID_INPUT", () => readBlob(backend, ref, wrong));
        await refused("INVALID_INPUT", () => blobsOf(backend).touch(ref, wrong));
      }
    },
  },
  {
    id: "blobs/own-session",
    sentence: "They belong to one session: no other can read them.",
    needs,
    async run({ backend }) {
      const mine = await startSession(backend);
      const other = await startSession(backend);
      const { bytes, digest } = blobOf("mine");
      await blobsOf(backend).put(mine.ref, digest, chunksFrom([bytes]));
      await refused("ENTRY_NOT_FOUND", () => readBlob(backend, other.ref, digest));
      assert.equal(await blobsOf(backend).touch(other.ref, digest), false);
      assert.equal(await blobsOf(backend).collect(other.ref, new Set(), 0), 0);
      for (const missing of [() => readBlob(backend, createLog().ref, digest), () => blobsOf(backend).touch(createLog().ref, digest)])
        await refused("SESSION_NOT_FOUND", missing);
      await refused("SESSION_NOT_FOUND", () => blobsOf(backend).put(createLog().ref, undefined, chunksFrom([bytes])));
      assert.ok(bytes.equals(await readBlob(backend, mine.ref, digest)));
    },
  },
  {
    id: "blobs/once",
    sentence: "The same bytes are kept once; they need not be read again if their digest was given.",
    needs,
    async run({ backend, open }) {
      const { ref } = await startSession(backend);
      const other = await open();
      const { bytes, digest } = blobOf("the same");
      await Promise.all([backend, other, backend].map((node) => blobsOf(node).put(ref, undefined, chunksFrom([bytes]))));
      assert.equal(await blobsOf(other).put(ref, digest, chunksFrom([bytes])), digest);
      assert.ok(bytes.equals(await readBlob(other, ref, digest)));
      assert.equal(await blobsOf(backend).collect(ref, new Set(), 0), 1);
      await refused("ENTRY_NOT_FOUND", () => readBlob(other, ref, digest));
    },
  },
  {
    id: "blobs/collect",
    sentence: "Removes the blobs that are not in `keep` and were neither put nor touched for `olderThanMs`.",
    needs,
    async run({ backend, open }) {
      const { ref } = await startSession(backend);
      const [kept, gone, touched, again] = ["kept", "gone", "touched", "put again"].map(blobOf) as [Blob, Blob, Blob, Blob];
      for (const { bytes, digest } of [kept, gone, touched, again]) await blobsOf(backend).put(ref, digest, chunksFrom([bytes]));
      assert.equal(await blobsOf(backend).collect(ref, new Set(), 60_000), 0, "young blobs were removed");
      const node = await open();
      await pause(OLD_MS + CLOCK_STEP_MS);
      assert.equal(await blobsOf(node).touch(ref, touched.digest), true);
      await blobsOf(node).put(ref, again.digest, chunksFrom([again.bytes]));
      assert.equal(await blobsOf(backend).collect(ref, new Set([kept.digest]), OLD_MS), 1);
      for (const { bytes, digest } of [kept, touched, again]) assert.ok(bytes.equals(await readBlob(node, ref, digest)));
      await refused("ENTRY_NOT_FOUND", () => readBlob(node, ref, gone.digest));
    },
  },
];

type Blob = ReturnType<typeof blobOf>;
