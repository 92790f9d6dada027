import type { Json } from "@aixgo/core";
import { createSessionManager } from "@aixgo/session";
import { createFileBackend } from "@aixgo/session-file";
import { type NodeOptions, saidOf, startNode } from "./approval-node.ts";

/** One answer, given by a process of its own. */
export interface Task extends NodeOptions {
  readonly baseDir: string;
  readonly sessionId: string;
  readonly requestId: string;
  readonly decision: Json;
}

const task = JSON.parse(process.argv[2] as string) as Task;
const sessions = createSessionManager({ backend: createFileBackend({ baseDir: task.baseDir }) });
const runtime = await startNode(sessions, task);
const reply = await runtime.resume(task.sessionId, task.requestId, task.decision);
process.stdout.write(JSON.stringify(saidOf(reply)));
await runtime.stop();
await sessions.close();
