import type { LanguageModel } from "@aixgo/agents";
import { createOfflineModel } from "./offline/offline-model.ts";
import { UsageError } from "./usage-error.ts";

export interface ModelChoice {
  readonly model: LanguageModel;
  /** For people: what answers here. */
  readonly label: string;
  readonly offline: boolean;
}

const OPENAI_URL = "https://api.openai.com/v1";
const DEFAULT_OPENAI_MODEL = "gpt-4.1-mini";
const DEFAULT_ANTHROPIC_MODEL = "claude-sonnet-4-5";

/**
 * Which model answers. A URL of the user's own goes first, then a key: Anthropic's if the model is a "claude" or there is
 * only that key, else OpenAI's. Without either, the offline model. Provider code is loaded only when it is used.
 */
export async function chooseModel(options: {
  readonly named: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly wordDelayMs: number;
}): Promise<ModelChoice> {
  const { env } = options;
  const named = options.named ?? (env["AIXGO_MODEL"] || undefined);
  if (named === "offline") return offline(options);
  const url = env["AIXGO_MODEL_URL"] || undefined;
  if (url !== undefined) {
    if (named === undefined) throw new UsageError("AIXGO_MODEL_URL needs the name of a model: set AIXGO_MODEL or give --model");
    if (!URL.canParse(url) || !/^https?:/.test(url))
      throw new UsageError("AIXGO_MODEL_URL must be an http or https address, such as http://127.0.0.1:11434/v1");
    return openAiCompatible(named, url, env["AIXGO_MODEL_KEY"], new URL(url).host);
  }
  const openAiKey = env["OPENAI_API_KEY"] || undefined;
  const anthropicKey = env["ANTHROPIC_API_KEY"] || undefined;
  if (anthropicKey !== undefined && (openAiKey === undefined || named?.startsWith("claude")))
    return anthropic(named ?? DEFAULT_ANTHROPIC_MODEL, anthropicKey);
  if (openAiKey !== undefined)
    return openAiCompatible(named ?? DEFAULT_OPENAI_MODEL, env["OPENAI_BASE_URL"] || OPENAI_URL, openAiKey, "OpenAI");
  if (named !== undefined) {
    throw new UsageError(
      `the model ${JSON.stringify(named)} needs a provider: set ANTHROPIC_API_KEY, OPENAI_API_KEY or AIXGO_MODEL_URL, or leave ${options.named === undefined ? "AIXGO_MODEL" : "--model"} out`,
    );
  }
  return offline(options);
}

function offline({ wordDelayMs }: { readonly wordDelayMs: number }): ModelChoice {
  return { model: createOfflineModel({ delayMs: wordDelayMs }), label: "small offline model (rules, no AI)", offline: true };
}

async function openAiCompatible(name: string, baseURL: string, apiKey: string | undefined, where: string): Promise<ModelChoice> {
  const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible");
  const provider = createOpenAICompatible({
    name: "openai",
    baseURL,
    includeUsage: true,
    ...(apiKey === undefined || apiKey === "" ? undefined : { apiKey }),
  });
  return { model: provider.chatModel(name), label: `${name} (${where})`, offline: false };
}

async function anthropic(name: string, apiKey: string): Promise<ModelChoice> {
  const { createAnthropic } = await import("@ai-sdk/anthropic");
  return { model: createAnthropic({ apiKey })(name), label: `${name} (Anthropic)`, offline: false };
}
