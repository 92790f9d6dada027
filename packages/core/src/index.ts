export { AixgoError, isAixgoError } from "./errors.ts";
export type { AixgoErrorOptions, ErrorCode } from "./errors.ts";
export type {
  DataPart, FilePart, Json, Message, MessageDraft, MessageInput, Part, ProviderCarry, Role, TextPart, ToolCallPart, ToolOutput, ToolResultPart,
} from "./message.ts";
export { defineAgent } from "./agent.ts";
export type {
  Agent, AgentContext, AgentEvent, AgentResult, CallOptions, Execute, HistoryOptions, Principal, Reply, TurnOptions, Usage,
} from "./agent.ts";
export type { OpenTurn, OpenTurnRequest, SessionHost } from "./session-host.ts";
export type { Option, RuntimeOption, RuntimeOptions } from "./options.ts";
export type { ReplyStream, Runtime } from "./runtime.ts";
export { silentLogger } from "./telemetry.ts";
export type { Logger, Metrics, Tracing } from "./telemetry.ts";
