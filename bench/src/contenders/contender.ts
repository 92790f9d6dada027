import type { ContestSide } from "./contest.ts";

/** One way to keep conversations. */
export interface Contender extends Pick<ContestSide, "name" | "role" | "survives" | "note"> {
  /** `folder` is empty and the contender's own; `text` is what every message says, in the form that the contender asks for. */
  open(folder: string, text: string): Promise<Store>;
}

export interface Store {
  /** A new conversation with so many messages, filled the quickest way there is. */
  filled(messages: number): Promise<Conversation>;
  /** Bytes in the store. */
  bytes?(): Promise<number> | number;
  /** Makes so many conversations of one message. */
  populate?(conversations: number): Promise<void>;
  /** The conversations with the newest update; how many came. */
  list?(limit: number): Promise<number> | number;
  close(): Promise<void>;
}

export interface Conversation {
  append(): unknown;
  /** All messages, by who has the conversation open; how many came. */
  load(): Promise<number> | number;
  /** The same, by someone who has never seen it, in a connection of their own. Absent: nobody else can. */
  resume?(): Promise<number> | number;
  /** A place to return to. */
  checkpoint?(): unknown;
}
