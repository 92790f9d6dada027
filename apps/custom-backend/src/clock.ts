import type { Connection } from "./connection.ts";

/** Milliseconds since 1970 as the database knows them, not this process: all who share the database measure leases by one clock. */
export function databaseNow(connection: Connection): number {
  const [text] = connection.get("SELECT strftime('%s', 'now') || substr(strftime('%f', 'now'), 4)") ?? [];
  return Number(text);
}
