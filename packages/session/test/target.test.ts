import { describe, expect, it } from "vitest";
import { newEntryId } from "@aixgo/security";
import { Writer } from "../src/writer.ts";
import { logPlace } from "./log-place.ts";

describe("a checkpoint whose hash is not that of the entry that it names", () => {
  it("is not restored to: ENTRY_CORRUPT, and nothing is written", async () => {
    const { session, another } = await logPlace();
    await session.append(["one", "two"]);
    const right = await session.checkpoint();
    // As a log would hold it that was put together from two, each of its lines whole.
    const id = newEntryId();
    const data = (hash: string): string => JSON.stringify({ seq: 2, hash });
    await new Writer(another(), 5000).submit({ drafts: [{ id, type: "checkpoint", side: {}, data: data("A".repeat(43)) }] });
    const { version } = await session.info();
    const refused = expect.objectContaining({ code: "ENTRY_CORRUPT", message: expect.stringContaining(id) as string }) as Error;
    await expect(session.restore(id)).rejects.toThrow(refused);
    await expect(session.fork({ at: id })).rejects.toThrow(refused);
    expect((await session.info()).version).toBe(version);
    expect(await session.restore(right.id)).toMatchObject({ messageCount: 2 });
  });
});
