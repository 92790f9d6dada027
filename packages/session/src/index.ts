export type { Entry, EntryType, Envelope, HeaderData } from "./entry.ts";
export type { Page, SessionInfo, SessionQuery } from "./info.ts";
