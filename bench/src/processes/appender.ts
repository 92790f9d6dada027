// One of several processes that append to one session: told where, it makes one append, waits for "go", and appends until its time is over.
import { managerAt, message, type Place } from "../stores.ts";

export interface Task {
  readonly place: Place;
  readonly session: string;
  readonly ms: number;
}

export type Told = { readonly kind: "ready" } | { readonly kind: "done"; readonly tookMs: readonly number[] };

function tell(told: Told): void {
  process.send?.(told);
}

process.once("message", (task: Task) => {
  void (async () => {
    const manager = managerAt(task.place);
    const session = await manager.get(task.session);
    await session.append(message(200));
    process.once("message", () => {
      void (async () => {
        const tookMs: number[] = [];
        const end = performance.now() + task.ms;
        for (let now = performance.now(); now < end;) {
          await session.append(message(200));
          const after = performance.now();
          tookMs.push(after - now);
          now = after;
        }
        await manager.close();
        tell({ kind: "done", tookMs });
        process.disconnect();
      })();
    });
    tell({ kind: "ready" });
  })();
});
