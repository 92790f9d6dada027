export { AixgoError, isAixgoError } from "./errors.ts";
export type { AixgoErrorOptions, ErrorCode } from "./errors.ts";
export { assistantMessage, textOf, userMessage } from "./message.ts";
export type {
  DataPart,
  FilePart,
  Json,
  Message,
  MessageDraft,
  MessageInput,
  Part,
  ProviderCarry,
  Role,
  TextPart,
  ToolCallPart,
  ToolOutput,
  ToolResultPart,
} from "./message.ts";
export { toMessage } from "./message-check.ts";
export { takeResult } from "./agent-result.ts";
export { defineAgent } from "./agent.ts";
export type {
  Agent,
  AgentContext,
  AgentEvent,
  AgentResult,
  CallOptions,
  Execute,
  HistoryOptions,
  Principal,
  Reply,
  ResumeOptions,
  TurnOptions,
  Usage,
} from "./agent.ts";
export { checkResumeOptions, checkTurnOptions } from "./call-options.ts";
export type { TurnAttachOptions } from "./call-options.ts";
export type { AttachedTurn, FollowedMessage, OpenTurn, OpenTurnRequest, SessionHost } from "./session-host.ts";
export { toDecision, toolApprovalOf, toSuspendRequest } from "./suspension.ts";
export type { SuspendRequest, ToolApproval, WaitingRequest } from "./suspension.ts";
export { formatTurnCursor, parseTurnCursor } from "./turn-cursor.ts";
export type { TurnPlace } from "./turn-cursor.ts";
export {
  DEFAULT_AGENT_START_TIMEOUT_MS,
  DEFAULT_MAILBOX_CAPACITY,
  DEFAULT_MAILBOX_MAX_BYTES,
  DEFAULT_SEND_TIMEOUT_MS,
  expectCount,
  expectMethods,
  expectMs,
  resolveOptions,
  RUNTIME_OPTION_RULES,
  withAgentStartTimeout,
  withLogger,
  withMailboxCapacity,
  withMailboxMaxBytes,
  withMaxConcurrentCalls,
  withMetrics,
  withSendTimeout,
  withSessionManager,
  withTimeout,
  withTracing,
} from "./options.ts";
export type { Option, OptionRules, RuntimeOption, RuntimeOptions } from "./options.ts";
export { createRuntime, DEFAULT_GRACE_MS } from "./runtime.ts";
export type { Runtime } from "./runtime.ts";
export type { ReplyStream } from "./reply-stream.ts";
export { DEFAULT_HEARTBEAT_MS, streamResponse } from "./stream-response.ts";
export type { EventSource, ResponseOptions } from "./stream-response.ts";
export type { ReceiveOptions, SendOptions } from "./call-options.ts";
export { MAX_WAITING_SENDS } from "./mailbox.ts";
export type { MailboxStats } from "./mailbox.ts";
export type { Dependencies } from "./phases.ts";
export { DEFAULT_HEALTH_TIMEOUT_MS } from "./health.ts";
export type { AgentHealth, RuntimeHealth } from "./health.ts";
export { CALL_SPAN, METRIC, SPAN } from "./observer.ts";
export type { Observe, Operation, OperationNotes, RunningOperation } from "./operation.ts";
export { silentLogger } from "./telemetry.ts";
export type { ActiveSpan, Logger, Metrics, Tracing } from "./telemetry.ts";
