import { createHash } from "node:crypto";
import { append } from "./lua/append.ts";
import { BLOB_AGES, COLLECT_BLOBS, DROP_STAGED, KEEP_STAGED, PUBLISH_BLOB, READ_CHUNK, STAGE_CHUNK, TOUCH_BLOB } from "./lua/blobs.ts";
import { ENTER, LEAVE, OLDEST, PEEK, RESCORE, SIZE, WALK_IDS, WALK_UPDATED } from "./lua/catalog.ts";
import { CREATE, DROP_GATHERED, GATHER_LINES } from "./lua/create.ts";
import type { Voice } from "./lua/parts.ts";
import { PROBE } from "./lua/probe.ts";
import { CLAIM, PROLONG, SWAP } from "./lua/record.ts";
import { remove, rewrite } from "./lua/replace.ts";
import { CANCEL, DIAGNOSE, FIND, HEAD, POSITIONS, READ, RENEW } from "./lua/session.ts";

/** A script is sent by its digest; a server that has lost it gets the text once. */
export interface Script {
  readonly text: string;
  readonly sha: string;
}

function script(text: string): Script {
  const trimmed = text.trim();
  return { text: trimmed, sha: createHash("sha1").update(trimmed).digest("hex") };
}

/** A script that changes a session, for each way to tell who watches it. */
export type Telling = Readonly<Record<Voice, Script>>;

function telling(make: (voice: Voice) => string): Telling {
  return { silent: script(make("silent")), PUBLISH: script(make("PUBLISH")), SPUBLISH: script(make("SPUBLISH")) };
}

type Name =
  | "blobAges"
  | "cancel"
  | "diagnose"
  | "claim"
  | "collectBlobs"
  | "create"
  | "dropGathered"
  | "dropStaged"
  | "enter"
  | "find"
  | "gatherLines"
  | "head"
  | "keepStaged"
  | "leave"
  | "oldest"
  | "peek"
  | "positions"
  | "probe"
  | "prolong"
  | "publishBlob"
  | "read"
  | "readChunk"
  | "renew"
  | "rescore"
  | "size"
  | "stageChunk"
  | "swap"
  | "touchBlob"
  | "walkIds"
  | "walkUpdated";

export const scripts: Readonly<Record<Name, Script>> = {
  blobAges: script(BLOB_AGES),
  cancel: script(CANCEL),
  claim: script(CLAIM),
  collectBlobs: script(COLLECT_BLOBS),
  create: script(CREATE),
  diagnose: script(DIAGNOSE),
  dropGathered: script(DROP_GATHERED),
  dropStaged: script(DROP_STAGED),
  enter: script(ENTER),
  find: script(FIND),
  gatherLines: script(GATHER_LINES),
  head: script(HEAD),
  keepStaged: script(KEEP_STAGED),
  leave: script(LEAVE),
  oldest: script(OLDEST),
  peek: script(PEEK),
  positions: script(POSITIONS),
  probe: script(PROBE),
  prolong: script(PROLONG),
  publishBlob: script(PUBLISH_BLOB),
  read: script(READ),
  readChunk: script(READ_CHUNK),
  renew: script(RENEW),
  rescore: script(RESCORE),
  size: script(SIZE),
  stageChunk: script(STAGE_CHUNK),
  swap: script(SWAP),
  touchBlob: script(TOUCH_BLOB),
  walkIds: script(WALK_IDS),
  walkUpdated: script(WALK_UPDATED),
};

export const tellingScripts: Readonly<Record<"append" | "delete" | "rewrite", Telling>> = {
  append: telling(append),
  delete: telling(remove),
  rewrite: telling(rewrite),
};
