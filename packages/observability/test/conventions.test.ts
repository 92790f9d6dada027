import * as published from "@opentelemetry/semantic-conventions/incubating";
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { ATTRIBUTE, CLIENT_METRIC, GEN_AI_CONVENTIONS_VERSION, OPERATION, providerName } from "../src/conventions.ts";

const values = new Map(Object.entries(published).filter(([, value]) => typeof value === "string"));
const ofKind = (...begins: readonly string[]): ReadonlySet<unknown> =>
  new Set([...values].filter(([name]) => begins.some((begin) => name.startsWith(begin))).map(([, value]) => value));

it("are compared with the published package of their version", () => {
  const file = new URL("../node_modules/@opentelemetry/semantic-conventions/package.json", import.meta.url);
  const { version } = JSON.parse(readFileSync(file, "utf8")) as { version: string };
  expect(version.split(".").slice(0, 2)).toEqual(GEN_AI_CONVENTIONS_VERSION.split(".").slice(0, 2));
});
it.each(Object.entries(ATTRIBUTE))("have the attribute %s", (_name, attribute) => {
  expect(ofKind("ATTR_")).toContain(attribute);
});
it.each(Object.entries(OPERATION))("have the operation %s", (_name, operation) => {
  expect(ofKind("GEN_AI_OPERATION_NAME_VALUE_")).toContain(operation);
});
it.each(Object.entries(CLIENT_METRIC))("have the metric %s", (_name, metric) => {
  expect(ofKind("METRIC_GEN_AI_")).toContain(metric);
});
it.each([
  ["openai.chat", "openai"],
  ["openai.responses", "openai"],
  ["anthropic.messages", "anthropic"],
  ["google.generative-ai", "gcp.gemini"],
  ["google.vertex.chat", "gcp.vertex_ai"],
  ["azure.chat", "azure.ai.openai"],
  ["azure-openai.chat", "azure.ai.openai"],
  ["amazon-bedrock", "aws.bedrock"],
  ["mistral.chat", "mistral_ai"],
  ["xai.chat", "x_ai"],
])("know the provider %s as %s", (provider, name) => {
  expect(providerName(provider)).toBe(name);
  expect(ofKind("GEN_AI_PROVIDER_NAME_VALUE_")).toContain(name);
});
it.each(["scripted", "openaiish.chat", "my-gateway", ""])("leave the provider %j its name", (provider) => {
  expect(providerName(provider)).toBe(provider);
});
