import { createHash } from "node:crypto";
import { APPEND } from "./lua/append.ts";
import { ENTER, LEAVE, OLDEST, PEEK, RESCORE, SIZE, WALK_IDS, WALK_UPDATED } from "./lua/catalog.ts";
import { CREATE, DROP_GATHERED, GATHER_LINES } from "./lua/create.ts";
import { PROBE } from "./lua/probe.ts";
import { CLAIM, PROLONG, SWAP } from "./lua/record.ts";
import { DELETE, REWRITE } from "./lua/replace.ts";
import { CANCEL, DIAGNOSE, FIND, HEAD, READ, RENEW } from "./lua/session.ts";

/** A script is sent by its digest; a server that has lost it gets the text once. */
export interface Script {
  readonly text: string;
  readonly sha: string;
}

function script(text: string): Script {
  const trimmed = text.trim();
  return { text: trimmed, sha: createHash("sha1").update(trimmed).digest("hex") };
}

type Name =
  | "append"
  | "cancel"
  | "diagnose"
  | "claim"
  | "create"
  | "delete"
  | "dropGathered"
  | "enter"
  | "find"
  | "gatherLines"
  | "head"
  | "leave"
  | "oldest"
  | "peek"
  | "probe"
  | "prolong"
  | "read"
  | "renew"
  | "rescore"
  | "rewrite"
  | "size"
  | "swap"
  | "walkIds"
  | "walkUpdated";

export const scripts: Readonly<Record<Name, Script>> = {
  append: script(APPEND),
  cancel: script(CANCEL),
  claim: script(CLAIM),
  create: script(CREATE),
  delete: script(DELETE),
  diagnose: script(DIAGNOSE),
  dropGathered: script(DROP_GATHERED),
  enter: script(ENTER),
  find: script(FIND),
  gatherLines: script(GATHER_LINES),
  head: script(HEAD),
  leave: script(LEAVE),
  oldest: script(OLDEST),
  peek: script(PEEK),
  probe: script(PROBE),
  prolong: script(PROLONG),
  read: script(READ),
  renew: script(RENEW),
  rescore: script(RESCORE),
  rewrite: script(REWRITE),
  size: script(SIZE),
  swap: script(SWAP),
  walkIds: script(WALK_IDS),
  walkUpdated: script(WALK_UPDATED),
};
