import { AixgoError, isAixgoError, type Message, type MessageDraft } from "@aixgo/core";
import type { Session } from "@aixgo/session";
import type { Item } from "./item-parts.ts";
import { firstItems, segmentsOf } from "./stored-items.ts";

/** How long a change that meets the writes of others is made anew, in milliseconds. */
const MAX_RETRY_MS = 5_000;
const FIRST_READ = 32;

/** Where an item lies: in which message of those that were read, and which of its items it is. */
export interface Place {
  readonly message: number;
  readonly item: number;
}

/** The end of a conversation, as far back as was asked for. */
export interface Tail {
  readonly messages: readonly Message[];
  readonly items: readonly { readonly item: Item; readonly place: Place }[];
  /** Whether it is the whole conversation. */
  readonly isWhole: boolean;
}

/** The last `count` items with the messages they lie in, and a message before those if there is one. */
export async function readTail(session: Session, count: number): Promise<Tail> {
  for (let last = count === Number.POSITIVE_INFINITY ? count : Math.max(count + 1, FIRST_READ); ; last *= 4) {
    const messages = await session.messages({
      calls: "stored",
      attachments: "inline",
      ...(Number.isSafeInteger(last) ? { last } : undefined),
    });
    const items = messages.flatMap((message, index) =>
      segmentsOf(message).map((segment, item) => ({ item: segment.item, place: { message: index, item } })),
    );
    const isWhole = messages.length < last;
    const wanted = items.at(-count);
    if (isWhole || (wanted !== undefined && wanted.place.message > 0)) return { messages, items, isWhole };
  }
}

/** Puts other messages in the place of `from` and everything behind it, in one step. What was there stays in the log as a branch. */
export async function replaceFrom(
  session: Session,
  { messages }: Tail,
  from: Place,
  replacement: readonly MessageDraft[],
  options: { readonly expectedVersion: number; readonly reason: string },
): Promise<void> {
  const { expectedVersion } = options;
  const cut = messages[from.message];
  const kept = cut === undefined || from.item === 0 ? [] : [firstItems(cut, from.item)];
  const written = [...kept, ...replacement];
  if (cut === undefined) {
    if (written.length > 0) await session.append(written, { expectedVersion });
    return;
  }
  const at = messages[from.message - 1]?.id ?? (await firstEntryId(session));
  if (written.length === 0) await session.restore(at, options);
  else await session.append(written, { at, expectedVersion });
}

/** Where a session without any message is: its first entry. */
export async function firstEntryId(session: Session): Promise<string> {
  for await (const { id } of session.entries()) return id;
  throw new AixgoError("ENTRY_CORRUPT", `session ${session.id} has no first entry`);
}

/** Makes a change to what was just read; anew when somebody else wrote in between. */
export async function change<T>(session: Session, body: (version: number) => Promise<T>): Promise<T> {
  const deadline = performance.now() + MAX_RETRY_MS;
  for (;;) {
    // Read before anything else: a change that was read later makes the write fail, never succeed on what was not seen.
    const { version } = await session.info();
    try {
      return await body(version);
    } catch (error) {
      if (!isAixgoError(error, "VERSION_CONFLICT")) throw error;
      if (performance.now() > deadline) {
        throw new AixgoError("SESSION_BUSY", `session ${session.id} was changed by others each time for ${MAX_RETRY_MS} ms. Try again`, {
          cause: error,
        });
      }
    }
  }
}
