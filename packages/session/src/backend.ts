export type {
  Append,
  Appended,
  BlobStore,
  Capabilities,
  CreateRequest,
  Head,
  HeadOptions,
  Lease,
  Position,
  ReadRange,
  Ref,
  RewriteRequest,
  SessionBackend,
} from "./contract.ts";
export { assertDigest, receiveBlob } from "./blob.ts";
export { canonicalJson } from "./canonical-json.ts";
export { builtLine } from "./built-line.ts";
export type { BuiltLine } from "./built-line.ts";
export { asBuffer, claimedHash, endsWithHash, expectedHash, expectedHashIn, hashBehind, sealLine, TRAILER_BYTES } from "./chain.ts";
export { dataOf, entryOf, envelopeOf } from "./envelope.ts";
export { fold, HeadFold } from "./fold.ts";
export { emptyTip, placeLine } from "./line.ts";
export type { Draft, Placed, Tip } from "./line.ts";
export { createHints } from "./hints.ts";
export type { Hints } from "./hints.ts";
export type { Entry, EntryType, Envelope, HeaderData } from "./entry.ts";
export type { Page, SessionInfo, SessionQuery } from "./info.ts";
export { listQuery } from "./list-query.ts";
export type { ListPlace, ListQuery } from "./list-query.ts";
