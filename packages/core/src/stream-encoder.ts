import type { AgentEvent, Reply } from "./agent.ts";
import type { PublicError } from "./public-error.ts";

export type StreamEvent = AgentEvent & { readonly cursor: string };

/** Writes a stream in one format: each answer is whole frames, or "" for nothing. */
export interface StreamEncoder {
  begin(): string;
  event(event: StreamEvent): string;
  done(reply: Reply): string;
  failed(error: PublicError): string;
}
