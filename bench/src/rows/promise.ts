import type { Session, SessionManager } from "@aixgo/session";
import { alone } from "../measure.ts";
import { promise, type Row } from "../finding.ts";
import { type Durability, filled, inFolder, message, openStore } from "../stores.ts";

/** The latencies that the Go release promised, in absolute time. There nothing was synced; `disk` is reported beside it. */
export async function promiseRows(): Promise<readonly Row[]> {
  return [...(await promised("os")), ...(await promised("disk"))];
}

function promised(durability: Durability): Promise<readonly Row[]> {
  return inFolder(async (folder) => {
    const manager: SessionManager = openStore(folder, durability);
    const session: Session = await filled(manager, "a", 100);
    const rows = [
      promise(`promise-create-${durability}`, `create, ${durability}`, await alone(() => manager.create("a"), 100), 1000),
      promise(`promise-append-${durability}`, `append, ${durability}`, await alone(() => session.append(message(200)), 200), 1000),
      promise(`promise-checkpoint-${durability}`, `checkpoint, ${durability}`, await alone(() => session.checkpoint(), 100), 1000),
      promise(
        `promise-history-${durability}`,
        `100 messages, ${durability}`,
        await alone(() => session.messages({ last: 100 }), 100),
        5000,
      ),
    ];
    await manager.close();
    return rows;
  });
}
