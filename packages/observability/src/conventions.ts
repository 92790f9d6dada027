/**
 * The OpenTelemetry semantic conventions for generative AI, version 1.41.0: the last one of their first home, and still in
 * development. Every name of theirs that this package uses stands here, so that a newer version is one change; a test compares them
 * with the published package of that version.
 */
export const GEN_AI_CONVENTIONS_VERSION = "1.41.0";
export const SCHEMA_URL: string = `https://opentelemetry.io/schemas/${GEN_AI_CONVENTIONS_VERSION}`;

export const ATTRIBUTE = {
  operationName: "gen_ai.operation.name",
  providerName: "gen_ai.provider.name",
  agentName: "gen_ai.agent.name",
  conversationId: "gen_ai.conversation.id",
  requestModel: "gen_ai.request.model",
  finishReasons: "gen_ai.response.finish_reasons",
  inputTokens: "gen_ai.usage.input_tokens",
  outputTokens: "gen_ai.usage.output_tokens",
  toolName: "gen_ai.tool.name",
  toolCallId: "gen_ai.tool.call.id",
  toolType: "gen_ai.tool.type",
  toolCallArguments: "gen_ai.tool.call.arguments",
  toolCallResult: "gen_ai.tool.call.result",
  inputMessages: "gen_ai.input.messages",
  outputMessages: "gen_ai.output.messages",
  systemInstructions: "gen_ai.system_instructions",
  tokenType: "gen_ai.token.type",
  errorType: "error.type",
} as const;

export const OPERATION = { chat: "chat", invokeAgent: "invoke_agent", executeTool: "execute_tool" } as const;

export const CLIENT_METRIC = { duration: "gen_ai.client.operation.duration", tokens: "gen_ai.client.token.usage" } as const;
/** Bounds that the conventions give for `gen_ai.client.operation.duration`, in seconds. */
export const CLIENT_SECONDS: readonly number[] = Object.freeze(Array.from({ length: 14 }, (_, power) => 2 ** power / 100));

/** What is ours, where the conventions have no name. */
export const OWN = {
  callKind: "aixgo.call.kind",
  turnId: "aixgo.turn.id",
  turnStep: "aixgo.turn.step",
  turnAttempt: "aixgo.turn.attempt",
  turnReplayed: "aixgo.turn.replayed",
  /** What ended neither well nor with an error: `suspended`, `denied`. */
  outcome: "aixgo.outcome",
} as const;

/** Codes of errors are written in capitals, other ends in small letters. */
export function isFailure(outcome: string): boolean {
  return /^[A-Z]/.test(outcome);
}

/** Well-known names of providers, by how the AI SDK's packages call themselves: the longest beginning decides. */
const PROVIDERS: readonly (readonly [begins: string, name: string])[] = [
  ["amazon-bedrock", "aws.bedrock"],
  ["bedrock", "aws.bedrock"],
  ["anthropic", "anthropic"],
  ["azure", "azure.ai.openai"],
  ["cohere", "cohere"],
  ["deepseek", "deepseek"],
  ["google.vertex", "gcp.vertex_ai"],
  ["vertex", "gcp.vertex_ai"],
  ["google", "gcp.gemini"],
  ["groq", "groq"],
  ["mistral", "mistral_ai"],
  ["openai", "openai"],
  ["perplexity", "perplexity"],
  ["xai", "x_ai"],
];

/** `openai.chat` is `openai`; a provider that the conventions do not know keeps its name. */
export function providerName(provider: string): string {
  return (
    PROVIDERS.find(
      ([begins]) => provider === begins || (/^[.-]/.test(provider.slice(begins.length)) && provider.startsWith(begins)),
    )?.[1] ?? provider
  );
}
