import type { SessionInfo } from "@aixgo/session/backend";
import type { Connection } from "./connection.ts";

/** Where the key of a session lies, unique within (tenant, agent); undefined without a key. */
export function slotOf({ tenantId, agentName, key }: Pick<SessionInfo, "tenantId" | "agentName" | "key">): string | undefined {
  return key === undefined ? undefined : JSON.stringify([tenantId ?? null, agentName, key]);
}

/** Id of the session that has a key. */
export function holderOf(connection: Connection, slot: string): string | undefined {
  return connection.get("SELECT id FROM unique_keys WHERE slot = ?", slot)?.[0] as string | undefined;
}

/** Gives the key to this session, whoever had it. */
export function giveKey(connection: Connection, slot: string, id: string): void {
  connection.run("INSERT OR REPLACE INTO unique_keys (slot, id) VALUES (?, ?)", slot, id);
}

/** Frees the key if it still names this session. */
export function freeKey(connection: Connection, slot: string, id: string): void {
  connection.run("DELETE FROM unique_keys WHERE slot = ? AND id = ?", slot, id);
}
