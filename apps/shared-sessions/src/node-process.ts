import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Question } from "./node.ts";

interface Answer {
  readonly answer: string;
  readonly replayed: boolean;
}

/** A process that serves the session. */
export interface NodeProcess {
  ask(question: Question): Promise<Answer>;
  /** Resolves when the process is in the middle of its answer, where it stays. */
  hang(question: Question): Promise<void>;
  kill(): void;
  leave(): void;
}

export async function startNode(url: string, sessionId: string, name: string): Promise<NodeProcess> {
  const child = fork(fileURLToPath(new URL("./node.js", import.meta.url)), [url, sessionId, name]);
  await heard(child);
  return {
    async ask(question) {
      child.send(question);
      return (await heard(child)) as unknown as Answer;
    },
    async hang(question) {
      child.send({ ...question, hang: true } satisfies Question);
      await heard(child);
    },
    kill: () => void child.kill("SIGKILL"),
    leave: () => child.disconnect(),
  };
}

/** The next message of the process, or an error if it says that something went wrong, or dies. */
async function heard(child: ChildProcess): Promise<Record<string, unknown>> {
  const ended = new AbortController();
  try {
    const died = once(child, "exit", { signal: ended.signal }).then(() => {
      throw new Error("a node ended before it answered");
    });
    died.catch(() => undefined);
    const [message] = (await Promise.race([once(child, "message", { signal: ended.signal }), died])) as [Record<string, unknown>];
    if (typeof message["problem"] === "string") throw new Error(message["problem"]);
    return message;
  } finally {
    ended.abort();
  }
}
