import { interleaved } from "../measure.ts";
import { type Row, row } from "../finding.ts";
import { filled, inFolder, message, openStore } from "../stores.ts";

/** Checkpoint and restore in a long session, beside an append to it. */
export async function branchRows(): Promise<readonly Row[]> {
  return [await beside("checkpoint"), await beside("restore")];
}

function beside(what: "checkpoint" | "restore"): Promise<Row> {
  return inFolder(async (folder) => {
    const manager = openStore(folder, "disk");
    const session = await filled(manager, "a", 10_000);
    const { id } = await session.checkpoint();
    const act = (): Promise<unknown> => (what === "checkpoint" ? session.checkpoint() : session.restore(id));
    const compared = await interleaved({ ours: act, floor: () => session.append(message(200)) }, { calls: 40 });
    await manager.close();
    return row({
      id: `${what}-10000`,
      what: `${what} at 10,000 messages, disk`,
      against: "one append to the same session",
      ...compared,
      target: 1.2,
    });
  });
}
