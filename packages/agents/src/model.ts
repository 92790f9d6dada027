import type { Json, ProviderCarry } from "@aixgo/core";

/**
 * The part of the AI SDK's language model interface, version 3 or 4, that an agent needs. Structural: any provider package of
 * that interface fits, and none is imported.
 */
export interface LanguageModel {
  readonly specificationVersion: "v3" | "v4";
  readonly provider: string;
  readonly modelId: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- the two versions type options and stream parts differently; what arrives is checked part by part
  doStream(options: any): PromiseLike<{ stream: ReadableStream<unknown> }>;
}

export type SpecificationVersion = LanguageModel["specificationVersion"];

/** Settings that are handed to the model with each call, by the names of the interface. */
export interface ModelSettings {
  readonly maxOutputTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  readonly stopSequences?: readonly string[];
  readonly seed?: number;
  /** Of HTTP providers. Never logged. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly providerOptions?: { readonly [provider: string]: Json };
}

export type ModelText = ProviderCarry & { readonly type: "text" | "reasoning"; readonly text: string };
/** Version 3 takes base64 or a URL, version 4 names which. */
export type ModelFileData = string | URL | { readonly type: "data"; readonly data: string } | { readonly type: "url"; readonly url: URL };
export type ModelFile = ProviderCarry & {
  readonly type: "file";
  readonly mediaType: string;
  readonly filename?: string;
  readonly data: ModelFileData;
};
export type ModelToolCall = ProviderCarry & {
  readonly type: "tool-call";
  readonly toolCallId: string;
  readonly toolName: string;
  readonly input: Json;
  readonly providerExecuted?: true;
};
export type ModelToolContent =
  | ModelText
  | ModelFile
  | { readonly type: "file-data" | "image-data"; readonly data: string; readonly mediaType: string; readonly filename?: string }
  | { readonly type: "file-url" | "image-url"; readonly url: string };
export type ModelToolOutput =
  | { readonly type: "text" | "error-text"; readonly value: string }
  | { readonly type: "json" | "error-json"; readonly value: Json }
  | { readonly type: "execution-denied"; readonly reason?: string }
  | { readonly type: "content"; readonly value: readonly ModelToolContent[] };
export type ModelToolResult = ProviderCarry & {
  readonly type: "tool-result";
  readonly toolCallId: string;
  readonly toolName: string;
  readonly output: ModelToolOutput;
};

export type ModelMessage =
  | (ProviderCarry & { readonly role: "system"; readonly content: string })
  | { readonly role: "user"; readonly content: readonly (ModelText | ModelFile)[] }
  | { readonly role: "assistant"; readonly content: readonly (ModelText | ModelFile | ModelToolCall | ModelToolResult)[] }
  | { readonly role: "tool"; readonly content: readonly ModelToolResult[] };

export interface ModelFunction {
  readonly type: "function";
  readonly name: string;
  readonly description?: string;
  readonly inputSchema: { readonly [key: string]: Json };
}

/** How errors name a model. */
export function modelName(model: LanguageModel): string {
  return `model "${model.modelId}" of "${model.provider}"`;
}
