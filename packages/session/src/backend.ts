export type { Append, Appended, Capabilities, CreateRequest, Head, Lease, Position, ReadRange, Ref, SessionBackend } from "./contract.ts";
export { asBuffer, claimedHash, endsWithHash, expectedHash, expectedHashIn, hashBehind, sealLine, TRAILER_BYTES } from "./chain.ts";
export { dataOf, entryOf, envelopeOf } from "./envelope.ts";
export { fold, HeadFold } from "./fold.ts";
export type { Entry, EntryType, Envelope, HeaderData } from "./entry.ts";
export type { Page, SessionInfo, SessionQuery } from "./info.ts";
