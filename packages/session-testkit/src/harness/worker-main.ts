import { type Order, work } from "./worker.ts";

// Started by `startChild`, with the order as its argument.
work(JSON.parse(process.argv[2] ?? "{}") as Order).catch((error: unknown) => {
  process.send?.({ kind: "failed", message: String(error) });
  process.exitCode = 1;
  process.disconnect();
});
