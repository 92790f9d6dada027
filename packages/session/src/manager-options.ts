import { AixgoError } from "@aixgo/core";
import { newEntryId } from "@aixgo/security";
import { hostname } from "node:os";
import type { SessionBackend } from "./contract.ts";

export interface SessionManagerOptions {
  /** Closed with the manager. */
  readonly backend: SessionBackend;
  /** Largest message or state as JSON, in bytes. @default what the backend takes as a line, less 4 KiB */
  readonly maxMessageBytes?: number;
  /** Time to live of a turn's lease; renewed after a third of it. @default 30000 */
  readonly leaseMs?: number;
  /** Turns that may wait in this process for one session. @default 1000 */
  readonly maxQueued?: number;
  /** Longest wait for a running turn, unless the call says otherwise. @default 60000 */
  readonly queueTimeoutMs?: number;
  /** How long an append that meets the writes of others is built anew, before it is `SESSION_BUSY`. @default 5000 */
  readonly rebaseMs?: number;
}

/** All options, resolved. */
export interface ManagerOptions extends Required<SessionManagerOptions> {
  /** Names this process in its leases. */
  readonly holder: string;
}

/** Room for an entry's envelope. */
const ENVELOPE_BYTES = 4096;

const NUMBERS = { maxMessageBytes: 1, leaseMs: 50, maxQueued: 0, queueTimeoutMs: 0, rebaseMs: 1 } as const;

export function resolveManagerOptions(options: SessionManagerOptions): ManagerOptions {
  if (typeof options !== "object" || options === null) throw new AixgoError("INVALID_OPTION", "createSessionManager needs { backend }");
  for (const name of Object.keys(options)) {
    if (name !== "backend" && !(name in NUMBERS))
      throw new AixgoError("INVALID_OPTION", `createSessionManager has no option ${JSON.stringify(name)}`);
  }
  const { backend } = options;
  if (typeof backend?.append !== "function" || typeof backend.capabilities !== "object") {
    throw new AixgoError("INVALID_OPTION", "backend must be a session backend, such as createMemoryBackend() or createFileBackend()");
  }
  for (const [name, least] of Object.entries(NUMBERS)) {
    const value = options[name as keyof typeof NUMBERS];
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= least)) {
      throw new AixgoError("INVALID_OPTION", `${name} must be a whole number of at least ${least}, not ${String(value)}`);
    }
  }
  const most = backend.capabilities.maxLineBytes - ENVELOPE_BYTES;
  return {
    backend,
    maxMessageBytes: Math.min(options.maxMessageBytes ?? most, most),
    leaseMs: options.leaseMs ?? 30_000,
    maxQueued: options.maxQueued ?? 1000,
    queueTimeoutMs: options.queueTimeoutMs ?? 60_000,
    rebaseMs: options.rebaseMs ?? 5000,
    holder: `${hostname().slice(0, 64)}:${process.pid}:${newEntryId()}`,
  };
}
