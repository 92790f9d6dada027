/** A change of one place in the compiled protocol. */
export interface Patch {
  /** Of `packages/session/dist`. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export interface Break {
  readonly what: string;
  readonly patches: readonly Patch[];
  /** What the simulator says of it. */
  readonly caughtBy: RegExp;
}

/**
 * Ways to break the protocol on purpose: each is caught, so the simulator can catch. Where two guards stand behind each other, both are
 * taken away.
 */
export const BREAKS: Readonly<Record<string, Break>> = {
  "landed-lines-forgotten": {
    what: "after a lost or doubled answer, lines that landed are written once more",
    patches: [{ file: "writer.js", from: "landed: await this.#landed(head, placed, conflict, since)", to: "landed: 0" }],
    caughtBy: /stands 2 times/,
  },
  "stale-writer": {
    what: "neither the store's fence nor the turn's own ground stops an attempt that was taken over",
    patches: [
      { file: "turn.js", from: "if (head.headSeq !== this.#headSeq) {", to: "if (false) {" },
      { file: "memory-backend.js", from: 'held("append", log, lease);', to: ";" },
    ],
    caughtBy: /after fence \d+ had been given out/,
  },
  "live-lease-taken": {
    what: "a lease is taken although another is live",
    patches: [
      { file: "memory-backend.js", from: "(isLive(log.lease) || acquire.fence", to: "(acquire.fence" },
      { file: "turn-start.js", from: "|| isLive(current)", to: "" },
      { file: "open-turn.js", from: "if (isLive(head)) {", to: "if (false) {" },
    ],
    caughtBy: /was taken while another was live/,
  },
  "renewal-ignored": {
    what: "the store answers a renewal and does not prolong the lease",
    patches: [
      {
        file: "memory-backend.js",
        from: 'const record = { ...held("renew", log, lease), expiresAt: store.now() + ttlMs };',
        to: 'const record = { ...held("renew", log, lease) };',
      },
    ],
    caughtBy: /was taken while another was live/,
  },
  "op-not-searched": {
    what: "an append that is sent again with its op is stored again",
    patches: [{ file: "once.js", from: "if (stored !== undefined)", to: "if (false)" }],
    caughtBy: /with op stands \d+ times/,
  },
  "key-not-searched": {
    what: "a turn that was completed is run again for the same key",
    patches: [{ file: "new-turn.js", from: 'if (status === "completed")', to: "if (false)" }],
    caughtBy: /was completed \d+ times|answered in \d+ different ways/,
  },
  "dead-turn-left-open": {
    what: "the next opener does not write the end of a turn whose process died",
    patches: [{ file: "turn-start.js", from: "drafts.push(endOfDead(last, lease.fence));", to: ";" }],
    caughtBy: /starts while turn \d+ has no end|is not open/,
  },
  "open-calls-shown": {
    what: "a tool call that was cut off is shown without a result",
    patches: [{ file: "history.js", from: "if (open.size > 0)\n", to: "if (false)\n" }],
    caughtBy: /have no result/,
  },
  "version-unchecked": {
    what: "an append that names the version it expects is written on another",
    patches: [{ file: "once.js", from: "assertVersion(head.id, expectedVersion, tip);", to: ";" }],
    caughtBy: /that expected version/,
  },
  "old-head-read": {
    what: "a reader trusts the head it saw last",
    patches: [
      {
        file: "manager.js",
        from: "return await this.options.backend.head(id, options);",
        to: "return (this.seen ??= new Map()).get(id) ?? (this.seen.set(id, await this.options.backend.head(id, options)), this.seen.get(id));",
      },
      {
        file: "log.js",
        from: "async refresh() {\n        const head = await this.backend.head(this.ref.id);",
        to: "async refresh() {\n        const head = this.#head ?? (await this.backend.head(this.ref.id));",
      },
    ],
    caughtBy: /a reader saw version/,
  },
  "decision-not-searched": {
    what: "the node that writes an answer does not look whether the question is still open",
    patches: [
      { file: "resumed-turn.js", from: "if (current.hash !== head.hash)\n                        throw new Moved();", to: ";" },
      { file: "turn-start.js", from: "current.hash !== head.hash || current.fence !== head.fence || ", to: "" },
    ],
    caughtBy: /was answered in \d+ ways|was decided \d+ times|after fence|was taken with fence|input of turn \S+ stands \d+ times/,
  },
};
