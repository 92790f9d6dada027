import { AixgoError, isAixgoError } from "@aixgo/core";
import { arrayLiteral } from "./column-text.ts";
import { refuseAborted } from "./connection.ts";
import type { Store } from "./store.ts";

/** One append on its way. */
export interface Outgoing {
  readonly doing: string;
  readonly id: string;
  readonly bytes: Uint8Array;
  readonly signal: AbortSignal | undefined;
  /** The literal of its request; so many bytes of others are sent before its own. */
  readonly row: (before: number) => string;
}

export interface AppendLanes {
  /** The new head as JSON; null: refused. */
  send(append: Outgoing): Promise<unknown>;
}

interface Waiting {
  readonly append: Outgoing;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** Statements that are under way before appends begin to gather. */
const LANES = 2;
const GROUP_APPENDS = 64;
const GROUP_BYTES = 1024 * 1024;
/** The server refused one of a group for what it is. */
const OF_ONE: ReadonlySet<string> = new Set(["STORE_BUSY", "ENTRY_CORRUPT", "LIMIT_EXCEEDED", "INVALID_INPUT", "PERMISSION_DENIED"]);
/** A lane that is busy for longer waits for a lock: nobody waits behind it. */
const SLOW_MS = 25;

/**
 * Appends of many sessions at once leave together: one statement, one transaction, one sync of the server's log. An append
 * that comes alone leaves at once and alone; those that come while the lanes are busy leave with the next one.
 */
export function createAppendLanes({ connections, statements, lockMs }: Store): AppendLanes {
  const waiting: Waiting[] = [];
  let busy = 0;

  async function sendOne({ doing, row, bytes, signal }: Outgoing): Promise<unknown> {
    const [answer] = await connections.run({ doing, effect: "write", text: statements.append, values: [row(0), bytes, lockMs], signal });
    return answer?.["head"];
  }

  /** In the order of their ids, so that two groups never wait for each other. */
  async function sendGroup(group: readonly Waiting[]): Promise<void> {
    const sorted = [...group].sort((a, b) => (a.append.id < b.append.id ? -1 : a.append.id > b.append.id ? 1 : 0));
    let at = 0;
    const rows = sorted.map(({ append }) => {
      const row = append.row(at);
      at += append.bytes.length;
      return row;
    });
    const bytes = Buffer.concat(sorted.map(({ append }) => append.bytes));
    const doing = `append to ${group.length} sessions`;
    try {
      const answers = await connections.run({
        doing,
        effect: "write",
        text: statements.appendMany,
        values: [arrayLiteral(rows), bytes, lockMs],
      });
      for (const [i, { resolve }] of sorted.entries()) resolve(answers[i]?.["head"]);
    } catch (error) {
      // Nothing was written if one was at fault: each is sent alone, and only that one fails.
      if (isAixgoError(error) && OF_ONE.has(error.code))
        await Promise.all(sorted.map(({ append, resolve, reject }) => sendOne(append).then(resolve, reject)));
      else for (const { append, reject } of sorted) reject(ownError(error, doing, append.doing));
    }
  }

  function takeGroup(): Waiting[] {
    const group: Waiting[] = [];
    let bytes = 0;
    for (let next = waiting[0]; next !== undefined && group.length < GROUP_APPENDS; next = waiting[0]) {
      bytes += next.append.bytes.length;
      if (group.length > 0 && bytes > GROUP_BYTES) break;
      waiting.shift();
      try {
        refuseAborted(next.append.doing, next.append.signal);
        group.push(next);
      } catch (error) {
        next.reject(error);
      }
    }
    return group;
  }

  function leave(): void {
    while (busy < LANES && waiting.length > 0) {
      const group = takeGroup();
      if (group.length === 0) return;
      busy += 1;
      let counted = true;
      const free = (): void => {
        if (!counted) return;
        counted = false;
        busy -= 1;
        leave();
      };
      const timer = setTimeout(free, SLOW_MS);
      const [only] = group;
      const sent = group.length === 1 && only !== undefined ? sendOne(only.append).then(only.resolve, only.reject) : sendGroup(group);
      void sent.finally(() => {
        clearTimeout(timer);
        free();
      });
    }
  }

  return {
    send: (append) =>
      new Promise((resolve, reject) => {
        waiting.push({ append, resolve, reject });
        leave();
      }),
  };
}

/** The error of a group, as that of one of its appends. */
function ownError(error: unknown, groupDoing: string, doing: string): unknown {
  if (!isAixgoError(error)) return error;
  const { code, message, retryable, details, cause } = error;
  return new AixgoError(code, message.replace(groupDoing, doing), {
    retryable,
    cause,
    ...(details === undefined ? undefined : { details }),
  });
}
