import type { Cancellation } from "./cancellation.ts";
import { AixgoError } from "./errors.ts";
import type { Message } from "./message.ts";
import { weightOf } from "./message-weight.ts";
import { createQueue } from "./queue.ts";

/** Sends that may wait for room in one mailbox. Beyond it senders are refused rather than kept. */
export const MAX_WAITING_SENDS = 4_096;

/** Counts begin with the agent's registration, and anew with each `start`. */
export interface MailboxStats {
  readonly capacity: number;
  /** Messages that nobody has taken yet. */
  readonly depth: number;
  readonly maxBytes: number;
  /** What those messages hold, about. */
  readonly bytes: number;
  /** Sends that wait for room. */
  readonly waiting: number;
  /** Loops that read, working or waiting. */
  readonly receivers: number;
  /** Messages taken in. */
  readonly sent: number;
  /** Messages handed to a receiver. */
  readonly received: number;
  /** Sends that ended without room: by time, cancel, or because the mailbox was closed. */
  readonly refused: number;
  /** Messages that were taken in and that nobody took when the mailbox was closed. */
  readonly dropped: number;
}

/** Told of what happens to messages: `received` and `dropped` of `n` messages. */
export interface MailboxObserver {
  received(): void;
  dropped(n: number): void;
}

/** One reader. Everything it takes is its own: no other reader sees it. */
export interface Receiver {
  /** A message that lies there; `undefined` if there is none. */
  poll(): Message | undefined;
  /** The next message, or `undefined` when there will be none. For when `poll` had none. */
  wait(): Promise<Message | undefined>;
  /** Takes no more; what it waited for ends with `undefined`. Idempotent. */
  leave(): void;
}

/** How much a mailbox holds at most. The sends that wait for room may hold as many bytes again. */
export interface MailboxBounds {
  readonly capacity: number;
  readonly maxBytes: number;
}

/** Messages for one agent, first in, first out, within its bounds. */
export interface Mailbox {
  readonly stats: MailboxStats;
  /**
   * Takes a message in: at once, or when there is room, after the sends that waited before. Rejects with the reason of `bound`, or of
   * `close`, having sent nothing. Throws `OVERLOADED` when too many wait, `LIMIT_EXCEEDED` for a message that can never have room.
   */
  send(message: Message, bound: Cancellation, beforeWaiting: () => void): Promise<void> | undefined;
  receiver(): Receiver;
  /** Takes nothing more in. Receivers that are there are given what is left, then end; without any, the rest is dropped. */
  close(reason: AixgoError): void;
}

/** A message and what it weighs. */
interface Letter {
  readonly message: Message;
  readonly bytes: number;
}
interface Sender extends Letter {
  admitted(): void;
  refuse(reason: AixgoError): void;
}
type Taker = (message: Message | undefined) => void;

export function createMailbox(agent: string, { capacity, maxBytes }: MailboxBounds, observer: MailboxObserver): Mailbox {
  const queue = createQueue<Letter>();
  // Sets keep the order of insertion, and let who gives up leave from the middle.
  const senders = new Set<Sender>();
  const takers = new Set<Taker>();
  /** Of what lies in the queue, and of what waits for room there. */
  let held = 0;
  let waitingBytes = 0;
  let receivers = 0;
  let closed: AixgoError | undefined;
  const counts = { sent: 0, received: 0, refused: 0, dropped: 0 };

  const hasRoom = (bytes: number): boolean => queue.size < capacity && held + bytes <= maxBytes;
  const put = (letter: Letter): void => {
    queue.push(letter);
    held += letter.bytes;
    counts.sent += 1;
  };
  const forget = (sender: Sender): void => {
    senders.delete(sender);
    waitingBytes -= sender.bytes;
  };
  /** In their order: one that needs more room than there is keeps those behind it waiting. */
  const admitWaiting = (): void => {
    for (const first of senders) {
      if (closed !== undefined || !hasRoom(first.bytes)) return;
      forget(first);
      put(first);
      first.admitted();
    }
  };
  const take = (): Message | undefined => {
    const letter = queue.shift();
    if (letter === undefined) return undefined;
    held -= letter.bytes;
    counts.received += 1;
    observer.received();
    admitWaiting();
    return letter.message;
  };
  const dropRest = (): void => {
    const left = queue.clear();
    held = 0;
    if (left === 0) return;
    counts.dropped += left;
    observer.dropped(left);
  };

  return {
    get stats() {
      return { capacity, depth: queue.size, maxBytes, bytes: held, waiting: senders.size, receivers, ...counts };
    },
    send(message, bound, beforeWaiting) {
      const bytes = weightOf(message);
      // Those that wait come first, also where this message would still fit.
      const waits = senders.size > 0 || !hasRoom(bytes);
      try {
        bound.throwIfCancelled();
        if (closed !== undefined) throw closed;
        if (bytes > maxBytes)
          throw new AixgoError(
            "LIMIT_EXCEEDED",
            `the message for agent "${agent}" has ${bytes} bytes, its mailbox holds ${maxBytes} (mailboxMaxBytes): send less, or a reference to where it lies`,
          );
        const [taker] = takers;
        if (taker === undefined && waits && (senders.size >= MAX_WAITING_SENDS || waitingBytes + bytes > maxBytes)) {
          throw new AixgoError(
            "OVERLOADED",
            `${senders.size} sends with ${waitingBytes} bytes wait for room in the mailbox of agent "${agent}" already: send again later`,
          );
        }
        if (taker !== undefined) {
          takers.delete(taker);
          counts.sent += 1;
          counts.received += 1;
          observer.received();
          taker(message);
          return undefined;
        }
      } catch (error) {
        counts.refused += 1;
        throw error;
      }
      if (!waits) {
        put({ message, bytes });
        return undefined;
      }
      beforeWaiting();
      return new Promise<void>((resolve, reject) => {
        const left = (reason: AixgoError): void => {
          forget(sender);
          counts.refused += 1;
          reject(reason);
          // Behind one that needed much room there may be others that need less.
          admitWaiting();
        };
        const sender: Sender = {
          message,
          bytes,
          admitted: () => {
            bound.offCancel(left);
            resolve();
          },
          refuse: (reason) => {
            bound.offCancel(left);
            left(reason);
          },
        };
        senders.add(sender);
        waitingBytes += bytes;
        bound.onCancel(left);
      });
    },
    receiver() {
      receivers += 1;
      const own = new Set<Taker>();
      let left = false;
      return {
        poll: () => (left ? undefined : take()),
        wait() {
          if (left || closed !== undefined) return Promise.resolve(undefined);
          return new Promise((resolve) => {
            const taker: Taker = (message) => {
              own.delete(taker);
              resolve(message);
            };
            own.add(taker);
            takers.add(taker);
          });
        },
        leave() {
          if (left) return;
          left = true;
          receivers -= 1;
          for (const taker of own) {
            takers.delete(taker);
            taker(undefined);
          }
          if (closed !== undefined && receivers === 0) dropRest();
        },
      };
    },
    close(reason) {
      if (closed !== undefined) return;
      closed = reason;
      for (const sender of senders) sender.refuse(reason);
      for (const taker of takers) taker(undefined);
      takers.clear();
      if (receivers === 0) dropRest();
    },
  };
}
