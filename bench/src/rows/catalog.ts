import { rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { alone, counted, summary, timed } from "../measure.ts";
import { promise, type Row, row } from "../finding.ts";
import { filled, inFolder, openStore, populate } from "../stores.ts";

/** What depends on the number of sessions, and the space they take. */
export async function catalogRows(): Promise<readonly Row[]> {
  return [...(await listOf50()), await findAmongAgents(), await space(100, 1.6), await space(300, 1.35)];
}

function listOf50(): Promise<readonly Row[]> {
  return inFolder(async (folder) => {
    const writer = openStore(folder, "os");
    await populate(writer, () => "a", 10_000);
    const warm = await alone(() => writer.list({ limit: 50 }), 300);
    await writer.close();
    const first: number[] = [];
    const rebuilt: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      for (const [times, isWithout] of [
        [first, false],
        [rebuilt, true],
      ] as const) {
        if (isWithout) rmSync(join(folder, "store", ".aixgo", "catalog"), { recursive: true, force: true });
        const manager = openStore(folder, "os");
        times.push(await timed(() => manager.list({ limit: 50 })));
        await manager.close();
      }
    }
    return [
      promise("list-50-warm", "list 50 of 10,000 sessions, again", warm, 50),
      promise("list-50-first", "list 50 of 10,000 sessions, first after start", summary(first), 100_000),
      promise("list-50-rebuilt", "list 50 of 10,000 sessions, catalog rebuilt from the logs", summary(rebuilt), 500_000),
    ];
  });
}

function findAmongAgents(): Promise<Row> {
  return inFolder(async (folder) => {
    const writer = openStore(folder, "os");
    const ids = await populate(writer, (index) => `agent-${index % 1000}`, 2000);
    await writer.close();
    const reader = openStore(folder, "os");
    // The first of each lock stripe reads the stripe's index.
    for (const id of ids.slice(0, 1500)) await reader.get(id);
    const times: number[] = [];
    for (const id of ids.slice(1500)) times.push(await timed(() => reader.get(id)));
    await reader.close();
    return promise("find-among-1000-agents", "open a session by id among 1,000 agents, first time", summary(times), 50);
  });
}

function space(characters: number, target: number): Promise<Row> {
  return inFolder(async (folder) => {
    const manager = openStore(folder, "disk");
    const session = await filled(manager, "a", 1000, characters);
    const messages = await session.messages();
    const raw = messages.reduce((sum, each) => sum + JSON.stringify(each).length + 1, 0);
    const { size } = statSync(join(folder, "store", "a", `${session.id}.jsonl`));
    await manager.close();
    return row({
      id: `space-${characters}`,
      what: `bytes on disk for 1,000 messages of ${characters} characters`,
      against: "the messages as JSON lines",
      unit: "bytes",
      ours: counted(size),
      floor: counted(raw),
      target,
    });
  });
}
