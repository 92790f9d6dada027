import assert from "node:assert/strict";
import { envelopeOf } from "@aixgo/session/backend";
import type { Case } from "../harness/case.ts";
import { message } from "../harness/log-builder.ts";
import { append, startSession } from "../harness/start-session.ts";

const FIND = "Seq of the last entry with this op or this id.";

export const findCases: readonly Case[] = [
  {
    id: "find/op",
    sentence: "An `op` that a caller gave is searched in the whole log with `find`.",
    async run({ backend, open }) {
      const log = await startSession(backend, { history: [message("in the history", { op: "u:history" })] });
      await append(backend, log, message("one", { op: "u:one" }));
      for (let i = 0; i < 150; i++) await append(backend, log, message(`${i}`.repeat(300)));
      await append(backend, log, message("two", { op: "t:two" }), message("three", { op: "t:three" }));
      for (const node of [backend, await open()]) {
        assert.equal(await node.find(log.ref, { op: "u:history" }), 1);
        assert.equal(await node.find(log.ref, { op: "u:one" }), 2);
        assert.equal(await node.find(log.ref, { op: "t:two" }), 153);
        assert.equal(await node.find(log.ref, { op: "t:three" }), 154);
        for (const op of ["u:on", "u:one2", "one", "", "t:", "U:ONE"])
          assert.equal(await node.find(log.ref, { op }), undefined, `find ${op}`);
      }
    },
  },
  {
    id: "find/last",
    sentence: FIND,
    async run({ backend, open }) {
      const log = await startSession(backend);
      await append(backend, log, message("start", { op: "t:turn" }));
      await append(backend, log, message("between"));
      await append(backend, log, message("end", { op: "t:turn" }));
      await append(backend, log, message("after"));
      assert.equal(await backend.find(log.ref, { op: "t:turn" }), 3);
      const other = await open();
      assert.equal(await other.find(log.ref, { op: "t:turn" }), 3);
      await append(backend, log, message("once more", { op: "t:turn" }));
      assert.equal(await other.find(log.ref, { op: "t:turn" }), 5);
    },
  },
  {
    id: "find/entry",
    sentence: FIND,
    async run({ backend, open }) {
      const log = await startSession(backend, { history: [message("one"), message("two")] });
      await append(backend, log, message("three"), { type: "checkpoint", data: { seq: 3, hash: "-" } });
      for (const node of [backend, await open()]) {
        for (const [seq, line] of log.lines.entries()) assert.equal(await node.find(log.ref, { entryId: envelopeOf(line).id }), seq);
        assert.equal(await node.find(log.ref, { entryId: "no-such-entry" }), undefined);
        assert.equal(await node.find(log.ref, { entryId: "" }), undefined);
      }
    },
  },
  {
    id: "find/not-in-data",
    sentence:
      'They may read the envelope (all before `,"data":`): what looks like one within the data, or is the other kind, is not found.',
    async run({ backend }) {
      const log = await startSession(backend);
      const decoy = { op: "u:decoy", id: "decoy-entry", seq: 7, text: '"op":"u:decoy","id":"decoy-entry"' };
      await append(backend, log, { type: "message", data: decoy });
      await append(backend, log, { type: "message", data: [decoy, { data: decoy }], op: "an-op", id: "an-entry" });
      for (const what of [{ op: "u:decoy" }, { entryId: "decoy-entry" }, { entryId: "an-op" }]) {
        assert.equal(await backend.find(log.ref, what), undefined, `find ${JSON.stringify(what)}`);
      }
      await append(backend, log, message("the real one", { op: "u:decoy", id: "decoy-entry" }));
      await append(backend, log, { type: "message", data: decoy });
      assert.equal(await backend.find(log.ref, { op: "u:decoy" }), 3);
      assert.equal(await backend.find(log.ref, { entryId: "decoy-entry" }), 3);
    },
  },
  {
    id: "find/any-text",
    sentence: FIND,
    async run({ backend, open }) {
      const log = await startSession(backend);
      const ops = ['a"b', "a\\b", "a\nb", "é\u2028\u{1F99C}", "x".repeat(512), "__proto__", "u:%_*?[a]", "u:\u0000"];
      for (const op of ops) await append(backend, log, message(op, { op }));
      for (const node of [backend, await open()]) {
        for (const [i, op] of ops.entries()) assert.equal(await node.find(log.ref, { op }), i + 1, `find ${JSON.stringify(op)}`);
        for (const op of ["a", "b", "a\\\\b", "constructor", "u:%"])
          assert.equal(await node.find(log.ref, { op }), undefined, `find ${op}`);
      }
    },
  },
];
