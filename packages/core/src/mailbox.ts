import type { Cancellation } from "./cancellation.ts";
import { AixgoError } from "./errors.ts";
import type { Message } from "./message.ts";

/** Sends that may wait for room in one mailbox. Beyond it senders are refused rather than kept. */
export const MAX_WAITING_SENDS = 4_096;

/** Counts begin with the agent's registration, and anew with each `start`. */
export interface MailboxStats {
  readonly capacity: number;
  /** Messages that nobody has taken yet. */
  readonly depth: number;
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

/** Messages for one agent, first in, first out, at most `capacity` of them. */
export interface Mailbox {
  readonly stats: MailboxStats;
  /**
   * Takes a message in: at once, or when there is room, after the sends that waited before. Rejects with the reason of `bound`, or of
   * `close`, having sent nothing. Throws `OVERLOADED` when too many wait.
   */
  send(message: Message, bound: Cancellation, beforeWaiting: () => void): Promise<void> | undefined;
  receiver(): Receiver;
  /** Takes nothing more in. Receivers that are there are given what is left, then end; without any, the rest is dropped. */
  close(reason: AixgoError): void;
}

interface Sender {
  readonly message: Message;
  admitted(): void;
  refuse(reason: AixgoError): void;
}
type Taker = (message: Message | undefined) => void;

export function createMailbox(agent: string, capacity: number, observer: MailboxObserver): Mailbox {
  const queue = createQueue<Message>();
  // Sets keep the order of insertion, and let who gives up leave from the middle.
  const senders = new Set<Sender>();
  const takers = new Set<Taker>();
  let receivers = 0;
  let closed: AixgoError | undefined;
  const counts = { sent: 0, received: 0, refused: 0, dropped: 0 };

  const admitWaiting = (): void => {
    const [first] = senders;
    if (first === undefined) return;
    senders.delete(first);
    queue.push(first.message);
    counts.sent += 1;
    first.admitted();
  };
  const take = (): Message | undefined => {
    const message = queue.shift();
    if (message === undefined) return undefined;
    counts.received += 1;
    observer.received();
    admitWaiting();
    return message;
  };
  const dropRest = (): void => {
    const left = queue.clear();
    if (left === 0) return;
    counts.dropped += left;
    observer.dropped(left);
  };

  return {
    get stats() {
      return { capacity, depth: queue.size, waiting: senders.size, receivers, ...counts };
    },
    send(message, bound, beforeWaiting) {
      try {
        bound.throwIfCancelled();
        if (closed !== undefined) throw closed;
        const [taker] = takers;
        if (taker === undefined && queue.size >= capacity && senders.size >= MAX_WAITING_SENDS) {
          throw new AixgoError(
            "OVERLOADED",
            `${senders.size} sends wait for room in the mailbox of agent "${agent}" already: send again later`,
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
      if (queue.size < capacity) {
        queue.push(message);
        counts.sent += 1;
        return undefined;
      }
      beforeWaiting();
      return new Promise<void>((resolve, reject) => {
        const left = (reason: AixgoError): void => {
          senders.delete(sender);
          counts.refused += 1;
          reject(reason);
        };
        const sender: Sender = {
          message,
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

interface Queue<T> {
  readonly size: number;
  push(item: T): void;
  shift(): T | undefined;
  /** Answers how many there were. */
  clear(): number;
}

/** First in, first out; what was taken is let go in halves, so that no step costs in proportion to what waits. */
function createQueue<T>(): Queue<T> {
  let items: T[] = [];
  let next = 0;
  return {
    get size() {
      return items.length - next;
    },
    push: (item) => void items.push(item),
    shift() {
      const item = items[next];
      if (item === undefined) return undefined;
      next += 1;
      if (next * 2 > items.length) {
        items = items.slice(next);
        next = 0;
      }
      return item;
    },
    clear() {
      const size = items.length - next;
      items = [];
      next = 0;
      return size;
    },
  };
}
