import { isAixgoError } from "@aixgo/core";
import type { Fixture } from "../fixture.ts";
import type { Order, Report, Task } from "./task.ts";
import { perform } from "./worker-tasks.ts";

async function fixtureOf({ module, name }: Order): Promise<Fixture> {
  const exports = (await import(module)) as Record<string, unknown>;
  const found = Object.values(exports).find(
    (value): value is Fixture => typeof value === "object" && value !== null && "open" in value && (value as Fixture).name === name,
  );
  if (found === undefined) throw new Error(`the fixture's module exports no fixture named ${name}`);
  return found;
}

function failed(error: unknown): Report {
  return { kind: "failed", message: String(error), ...(isAixgoError(error) ? { code: error.code } : undefined) };
}

/** The life of a child: it opens the store once, does what it is asked in order, and ends when its parent lets go of it. */
export async function work(order: Order): Promise<void> {
  const report = (one: Report): void => void process.send?.(one);
  const backend = await (await fixtureOf(order)).open(order.store);
  let last = Promise.resolve();
  process.on("message", (task: Task) => {
    last = last.then(() => perform(backend, task, (op) => report({ kind: "acked", op }))).then(report, (error) => report(failed(error)));
  });
  process.once("disconnect", () => void last.then(() => backend.close()).finally(() => process.exit()));
  report({ kind: "ready" });
}
