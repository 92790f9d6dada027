import assert from "node:assert/strict";
import type { Case } from "../harness/case.ts";
import { blobOf, readBlob } from "../harness/blob.ts";
import { failsWith, refused, written } from "../harness/expect.ts";
import { createLog, message } from "../harness/log-builder.ts";
import { blobsOf, needsOffer } from "../harness/offers.ts";
import { creating, failingLines, linesFrom, startSession } from "../harness/start-session.ts";

const needs = needsOffer("blobs");
const one = blobOf("one");
const two = blobOf("two");

export const blobLifeCases: readonly Case[] = [
  {
    id: "blobs/deleted",
    sentence: "They go with a delete; none can be stored or read afterwards.",
    needs,
    async run({ backend, open }) {
      for (const erase of [false, true]) {
        const { ref } = await startSession(backend);
        const other = await open();
        await blobsOf(backend).put(ref, one.digest, linesFrom([one.bytes]));
        await other.delete(ref, { erase });
        for (const node of [backend, other]) {
          await refused("SESSION_DELETED", () => readBlob(node, ref, one.digest));
          await refused("SESSION_DELETED", () => blobsOf(node).put(ref, one.digest, linesFrom([one.bytes])));
          await refused("SESSION_DELETED", () => blobsOf(node).touch(ref, one.digest));
          await refused("SESSION_DELETED", () => blobsOf(node).collect(ref, new Set(), 0));
        }
      }
    },
  },
  {
    id: "blobs/late",
    sentence: "A put that ends after its session was deleted or rewritten is refused.",
    needs,
    async run({ backend, open }) {
      const other = await open();
      for (const way of ["delete", "rewrite"] as const) {
        const log = await startSession(backend);
        const next = createLog({ id: log.ref.id });
        await refused(way === "delete" ? "SESSION_DELETED" : "INCARNATION_CHANGED", () =>
          blobsOf(backend).put(
            log.ref,
            undefined,
            (async function* () {
              yield one.bytes;
              if (way === "delete") await other.delete(log.ref);
              else written(await other.rewrite(log.ref, { expect: log.position, next: next.ref, lines: linesFrom(next.lines) }));
            })(),
          ),
        );
        if (way === "rewrite") await refused("ENTRY_NOT_FOUND", () => readBlob(other, next.ref, one.digest));
      }
    },
  },
  {
    id: "blobs/rewrite",
    sentence: "They survive a rewrite, unless it says which ones its lines name: then the others go.",
    needs,
    async run({ backend, open }) {
      const log = await startSession(backend);
      const other = await open();
      for (const { bytes, digest } of [one, two]) await blobsOf(backend).put(log.ref, digest, linesFrom([bytes]));
      const next = createLog({ id: log.ref.id });
      written(await backend.rewrite(log.ref, { expect: log.position, next: next.ref, lines: linesFrom(next.lines) }));
      for (const { bytes, digest } of [one, two]) assert.ok(bytes.equals(await readBlob(other, next.ref, digest)));
      await refused("INCARNATION_CHANGED", () => readBlob(other, log.ref, one.digest));
      await refused("INCARNATION_CHANGED", () => blobsOf(other).put(log.ref, one.digest, linesFrom([one.bytes])));
      await refused("INCARNATION_CHANGED", () => blobsOf(other).collect(log.ref, new Set(), 0));
      const last = createLog({ id: log.ref.id });
      let drawn = false;
      const lines = (async function* () {
        yield* linesFrom(last.lines);
        drawn = true;
      })();
      const blobs = (): ReadonlySet<string> => {
        assert.ok(drawn, "asked for the blobs before the lines were drawn");
        return new Set([two.digest]);
      };
      written(await backend.rewrite(next.ref, { expect: next.position, next: last.ref, lines, blobs }));
      for (const node of [backend, other]) {
        assert.ok(two.bytes.equals(await readBlob(node, last.ref, two.digest)));
        await refused("ENTRY_NOT_FOUND", () => readBlob(node, last.ref, one.digest));
      }
    },
  },
  {
    id: "blobs/rewrite-refused",
    sentence: "Replaces the log, all or nothing: a rewrite that is refused drops no blob.",
    needs,
    async run({ backend }) {
      const log = await startSession(backend);
      await blobsOf(backend).put(log.ref, one.digest, linesFrom([one.bytes]));
      const stale = log.position;
      written(await backend.append(log.ref, { expect: stale, lines: log.add(message("meanwhile")) }));
      const next = createLog({ id: log.ref.id });
      const answer = await backend.rewrite(log.ref, {
        expect: stale,
        next: next.ref,
        lines: linesFrom(next.lines),
        blobs: () => new Set(),
      });
      assert.ok("conflict" in answer);
      assert.ok(one.bytes.equals(await readBlob(backend, log.ref, one.digest)));
    },
  },
  {
    id: "blobs/fork",
    sentence: "The new session gets them before it is there; they are its own.",
    needs,
    async run({ backend, open }) {
      const origin = await startSession(backend);
      const other = await open();
      for (const { bytes, digest } of [one, two]) await blobsOf(backend).put(origin.ref, digest, linesFrom([bytes]));
      const fork = createLog();
      fork.add(message("copied"));
      let drawn = false;
      await other.create({
        ...creating(fork),
        lines: async function* () {
          yield* linesFrom(fork.lines);
          drawn = true;
        },
        blobs: () => {
          assert.ok(drawn, "asked for the blobs before the lines were drawn");
          return { from: origin.ref, digests: new Set([one.digest, blobOf("of nobody").digest]) };
        },
      });
      assert.ok(one.bytes.equals(await readBlob(backend, fork.ref, one.digest)));
      await refused("ENTRY_NOT_FOUND", () => readBlob(backend, fork.ref, two.digest));
      await refused("ENTRY_NOT_FOUND", () => readBlob(backend, fork.ref, blobOf("of nobody").digest));
      await backend.delete(origin.ref, { erase: true });
      assert.ok(one.bytes.equals(await readBlob(other, fork.ref, one.digest)), "the blobs of the fork went with its origin");
      await backend.delete(fork.ref);
      await refused("SESSION_DELETED", () => readBlob(other, fork.ref, one.digest));
    },
  },
  {
    id: "blobs/fork-refused",
    sentence: "All or nothing: if the other session was deleted meanwhile, or the lines fail, nothing is created.",
    needs,
    async run({ backend, open }) {
      const origin = await startSession(backend);
      const other = await open();
      await blobsOf(backend).put(origin.ref, one.digest, linesFrom([one.bytes]));
      const from = origin.ref;
      const failed = createLog();
      failed.add(message("copied"));
      const failure = new Error("the source failed");
      const blobs = () => ({ from, digests: new Set([one.digest]) });
      await failsWith(failure, backend.create({ ...creating(failed), lines: () => failingLines(failed.lines, failure), blobs }));
      await refused("SESSION_NOT_FOUND", () => readBlob(other, failed.ref, one.digest));
      const late = createLog();
      const deleting = async function* (): AsyncGenerator<Uint8Array> {
        yield* linesFrom(late.lines);
        await other.delete(from);
      };
      await refused("SESSION_DELETED", () => backend.create({ ...creating(late), lines: deleting, blobs }));
      await refused("SESSION_NOT_FOUND", () => other.head(late.ref.id));
    },
  },
  {
    id: "blobs/kept",
    sentence:
      "When it resolves they are as durable as the store declares: a store that is opened again has them, and a closed one refuses.",
    needs,
    async run({ backend, open }) {
      const { ref } = await startSession(backend);
      await blobsOf(backend).put(ref, undefined, linesFrom([one.bytes]));
      await backend.close();
      await refused("BACKEND_CLOSED", () => blobsOf(backend).put(ref, one.digest, linesFrom([one.bytes])));
      await refused("BACKEND_CLOSED", () => readBlob(backend, ref, one.digest));
      await refused("BACKEND_CLOSED", () => blobsOf(backend).touch(ref, one.digest));
      await refused("BACKEND_CLOSED", () => blobsOf(backend).collect(ref, new Set(), 0));
      assert.ok(one.bytes.equals(await readBlob(await open(), ref, one.digest)));
    },
  },
];
