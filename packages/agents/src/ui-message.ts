import type { Json, ProviderCarry } from "@aixgo/core";
import { isRecord } from "./json.ts";

/** JSON as the AI SDK types it: its lists are not `readonly`. */
export type UIJson = null | boolean | number | string | UIJson[] | { [key: string]: UIJson };
export type UIProviderMetadata = { [provider: string]: { [key: string]: UIJson } };

/** Whether a person agreed to a call, as UI messages hold it. */
interface Asked {
  readonly id: string;
  readonly signature?: string;
}
interface Answered<A extends boolean> extends Asked {
  readonly approved: A;
  readonly reason?: string;
}

/** A call with what became of it. */
export type UIToolState = { toolCallId: string; providerExecuted?: boolean; input: UIJson; callProviderMetadata?: UIProviderMetadata } & (
  | { state: "input-available" }
  | { state: "approval-requested"; approval: Asked }
  | { state: "approval-responded"; approval: Answered<boolean> }
  | { state: "output-available"; output: UIJson; approval?: Answered<true>; resultProviderMetadata?: UIProviderMetadata }
  | { state: "output-error"; errorText: string; approval?: Answered<true>; resultProviderMetadata?: UIProviderMetadata }
  | { state: "output-denied"; approval: Answered<false> }
);

type UICarry = { providerMetadata?: UIProviderMetadata };
export type UIPart =
  | (UICarry & { type: "text" | "reasoning"; text: string; state: "done" })
  | (UICarry & { type: "file"; mediaType: string; url: string; filename?: string })
  | (UICarry & { type: "source-url"; sourceId: string; url: string; title?: string })
  | (UICarry & { type: "source-document"; sourceId: string; mediaType: string; title: string; filename?: string })
  | { type: "step-start" }
  | { type: `data-${string}`; id?: string; data: UIJson }
  | ({ type: `tool-${string}` } & UIToolState)
  | ({ type: "dynamic-tool"; toolName: string } & UIToolState);

/** A message of the AI SDK's `useChat`, in the shape that this package makes. Fits its type `UIMessage`. */
export interface UIChatMessage {
  id: string;
  role: "system" | "user" | "assistant";
  parts: UIPart[];
  metadata?: { [key: string]: UIJson };
}

/** Our own member among the provider data: what a UI part has no place for. Providers pass over names that they do not know. */
export const OWN = "aixgo";

/** Provider data as the AI SDK takes it: an object for each provider. */
export function metadataOf({ providerOptions }: ProviderCarry, own: { readonly [key: string]: Json } = {}): UIProviderMetadata | undefined {
  const found: [string, Json][] = Object.entries(providerOptions ?? {}).filter(([, data]) => isRecord(data));
  const before = providerOptions?.[OWN];
  const merged = { ...(isRecord(before) ? before : undefined), ...own };
  const all = Object.keys(merged).length === 0 ? found : [...found.filter(([provider]) => provider !== OWN), [OWN, merged] as const];
  return all.length === 0 ? undefined : (Object.fromEntries(all) as UIProviderMetadata);
}

/** What of ours provider data holds. */
export function ownOf(metadata: unknown): { readonly [key: string]: unknown } {
  const own = isRecord(metadata) ? metadata[OWN] : undefined;
  return isRecord(own) ? own : {};
}
