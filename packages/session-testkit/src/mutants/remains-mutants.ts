import type { SessionBackend } from "@aixgo/session/backend";
import { createLog, message } from "../harness/log-builder.ts";
import { creating } from "../harness/start-session.ts";
import { allLines, joinLines, type Mutant, mutant, without } from "./mutant.ts";

/** Puts a copy where nobody asks for it. */
async function archive(real: SessionBackend, text: string): Promise<void> {
  const log = createLog({ agentName: "archive" });
  log.add(message(text));
  await real.create(creating(log));
}

export const remainsMutants: readonly Mutant[] = [
  mutant("keeps the transcripts of deleted sessions", "a deleted conversation is gone", ["delete/nothing-remains"], (real) => ({
    async delete(ref, options) {
      const lines = await allLines(real, ref).catch(() => []);
      await real.delete(ref, options);
      await archive(real, Buffer.from(joinLines(lines)).toString());
    },
  })),
  mutant("keeps the wrapped keys of erased sessions", "erase: also keys", ["delete/erase-wrapped-keys"], (real) => ({
    async delete(ref, options) {
      const { keys } = await real.head(ref.id);
      await real.delete(ref, options);
      await archive(real, Buffer.from(keys ?? []).toString());
    },
  })),
  mutant("loses the wrapped keys with a rewrite", "wrapped keys survive a rewrite", ["rewrite/wrapped-keys"], (real) => {
    const rewritten = new Set<string>();
    return {
      async head(id) {
        const head = await real.head(id);
        return rewritten.has(head.incarnation) ? without(head, "keys") : head;
      },
      async rewrite(ref, request) {
        const answer = await real.rewrite(ref, request);
        if ("head" in answer) rewritten.add(request.next.incarnation);
        return answer;
      },
    };
  }),
];
