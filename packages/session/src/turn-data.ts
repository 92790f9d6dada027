import type { Json, SuspendRequest, Usage } from "@aixgo/core";

/** How whoever began a turn finds it again. */
export interface TurnKey {
  readonly key: string;
  /** Of role, parts and metadata of the input: the same key with another input is refused. */
  readonly inputDigest: string;
}

/** Data of a `turn` entry. */
export interface TurnData extends Partial<TurnKey> {
  /** `decide`: somebody answered a request of a suspended turn. `withdraw`: the turn ended before anybody did. */
  readonly phase: "start" | "end" | "suspend" | "decide" | "withdraw";
  readonly attempt: number;
  /** Of an end. */
  readonly status?: TurnStatus;
  /** Seq of the stored answer. */
  readonly replySeq?: number;
  readonly usage?: Usage;
  /** Redacted. */
  readonly error?: { readonly name: string; readonly code?: string; readonly message: string };
  /** Of a suspend and a decide: what the turn waits for from there on. */
  readonly requests?: readonly SuspendRequest[];
  /** Of a decide: the request that was answered, and how. Of a withdraw: the one that nobody is to answer any more. */
  readonly requestId?: string;
  readonly decision?: Json;
}

export type TurnStatus = "completed" | "failed" | "interrupted" | "cancelled";

/** The key of a turn that has one, for its next entry. */
export function keyOf({ key, inputDigest }: Partial<TurnKey>): TurnKey | undefined {
  return key === undefined || inputDigest === undefined ? undefined : { key, inputDigest };
}

/** What the turn waits for behind this entry, if it does. */
export function requestsAt(entry: { readonly type: string; readonly data: Json }): readonly SuspendRequest[] | undefined {
  if (entry.type !== "turn") return undefined;
  const { phase, requests } = entry.data as unknown as TurnData;
  return (phase === "suspend" || phase === "decide") && requests !== undefined && requests.length > 0 ? requests : undefined;
}
