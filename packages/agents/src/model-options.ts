import { isRecord } from "./json.ts";
import type { LanguageModel, ModelSettings } from "./model.ts";
import { RETRY_DEFAULTS, type RetryOptions } from "./model-retry.ts";
import { type Check, check, type Checks, duration, finite, json, text, texts, whole, words, record } from "./option-check.ts";

/** What every agent with a model takes. */
export interface ModelAgentOptions {
  readonly name: string;
  /** What the agent is for, as `Agent.role`. Not shown to the model. */
  readonly role?: string;
  /** A model object of an AI SDK provider package whose interface is version 3 or 4. */
  readonly model: LanguageModel;
  /** The system message. */
  readonly instructions?: string;
  /** Handed to the model with each call: temperature, limits, `providerOptions`, … */
  readonly settings?: ModelSettings;
  /** What happens when the model fails for a reason that may pass. @default two retries */
  readonly retry?: RetryOptions;
  /** Longest silence of the model in milliseconds, `Infinity` for none. Then `TIMEOUT`. @default 300000 */
  readonly modelIdleTimeoutMs?: number;
  /** A longer answer of one step is `LIMIT_EXCEEDED`. In bytes. @default 8 MiB */
  readonly maxResponseBytes?: number;
}

export const MODEL_DEFAULTS: Required<Pick<ModelAgentOptions, "modelIdleTimeoutMs" | "maxResponseBytes">> = Object.freeze({
  modelIdleTimeoutMs: 300_000,
  maxResponseBytes: 8 * 1024 * 1024,
});

const MODEL: Check = (value) => {
  if (!isRecord(value) || typeof value["doStream"] !== "function")
    return "must be a model object with doStream, as AI SDK provider packages make them";
  const version = value["specificationVersion"];
  return version === "v3" || version === "v4"
    ? undefined
    : `must be of specificationVersion v3 or v4, not ${JSON.stringify(version)}; take a current release of the provider package`;
};

export const MODEL_AGENT_CHECKS: Checks<ModelAgentOptions> = {
  name: words,
  role: text,
  model: MODEL,
  instructions: text,
  settings: record,
  retry: record,
  modelIdleTimeoutMs: duration,
  maxResponseBytes: whole(1),
};

const pause: Check = (value) => (value === 0 ? undefined : value === Infinity ? "must not be Infinity" : duration(value));
const RETRY: Checks<RetryOptions> = { maxRetries: whole(0), minDelayMs: pause, maxDelayMs: pause };

const SETTINGS: Checks<ModelSettings> = {
  maxOutputTokens: whole(1),
  temperature: finite,
  topP: finite,
  topK: finite,
  presencePenalty: finite,
  frequencyPenalty: finite,
  stopSequences: texts,
  seed: finite,
  headers: (value) =>
    isRecord(value) && Object.values(value).every((each) => typeof each === "string") ? undefined : "must be an object of texts",
  providerOptions: json,
};

/** The parts of the options that are objects, checked and completed. */
export function resolveModelOptions(
  name: string,
  { settings = {}, retry = {} }: Pick<ModelAgentOptions, "settings" | "retry">,
): { readonly settings: ModelSettings; readonly retry: Required<RetryOptions> } {
  check(name, "settings.", SETTINGS, settings, []);
  check(name, "retry.", RETRY, retry, []);
  const given = Object.fromEntries(Object.entries(retry).filter(([, value]) => value !== undefined));
  return { settings: { ...settings }, retry: { ...RETRY_DEFAULTS, ...given } };
}
