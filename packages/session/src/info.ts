import type { Json } from "@aixgo/core";

export interface SessionInfo {
  readonly id: string;
  readonly agentName: string;
  readonly userId?: string;
  readonly tenantId?: string;
  /** Unique key within (tenant, agent); `user:<id>` for sessions made by `getOrCreate`. */
  readonly key?: string;
  /** Seq of the last entry. */
  readonly version: number;
  /** Messages on the path to the head. */
  readonly messageCount: number;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly metadata: { readonly [key: string]: Json };
}

export interface SessionQuery {
  readonly agentName?: string;
  readonly tenantId?: string;
  readonly userId?: string;
  /** All members must be equal; keys that the backend has not indexed need `scan`. */
  readonly metadata?: { readonly [key: string]: Json };
  /** ISO 8601, exclusive. */
  readonly updatedAfter?: string;
  readonly updatedBefore?: string;
  /** 1 to 1000. @default 50 */
  readonly limit?: number;
  /** Of the page before, made by the same query. */
  readonly cursor?: string;
  /** Newest update first, or by id: stable, for sweeps. @default "updated" */
  readonly order?: "updated" | "id";
  /** Allows a metadata filter on a key that the backend has not indexed. */
  readonly scan?: boolean;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Absent on the last page. */
  readonly nextCursor?: string;
}
