import type { Store } from "./store.ts";
import { nameOf } from "./watchers.ts";

/** Names that wait for the statement before. More are left to the looks by time. */
const MOST = 1000;

/**
 * Tells the nodes that listen which sessions were changed. A statement of its own, after the append, which does not wait for it:
 * inside it the append would take the lock that all who notify share, and halve the throughput. What comes while one is under
 * way leaves with the next.
 */
export interface Notifier {
  tell(id: string): void;
  /** When what is under way has been sent. */
  end(): Promise<void>;
}

export function createNotifier({ connections, statements }: Store, channel: string): Notifier {
  let names = new Set<string>();
  let sending: Promise<void> | undefined;

  async function send(): Promise<void> {
    while (names.size > 0) {
      const some = [...names];
      names = new Set();
      // Only hints: nodes look by time as well.
      await connections.run({ doing: "notify", effect: "read", text: statements.notify, values: [channel, some] }).catch(() => undefined);
    }
  }

  return {
    tell(id) {
      if (names.size < MOST) names.add(nameOf(id));
      sending ??= send().finally(() => (sending = undefined));
    },
    async end() {
      await sending;
    },
  };
}
