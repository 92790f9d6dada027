import { shiftClock } from "./clock.ts";
import type { Order } from "./task.ts";

// Started by `startChild`, with the order as its argument.
const order = JSON.parse(process.argv[2] ?? "{}") as Order;
shiftClock(order.clockMs);
import("./worker.ts")
  .then(({ work }) => work(order))
  .catch((error: unknown) => {
    process.send?.({ kind: "failed", message: String(error) });
    process.exitCode = 1;
    process.disconnect();
  });
