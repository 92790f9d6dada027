import type { Agent, Message } from "@aixgo/core";
import { MODEL_AGENT_CHECKS, type ModelAgentOptions } from "./model-options.ts";
import { check, type Checks, fraction, invalid, record, words } from "./option-check.ts";
import { readOutput, structuredAgent } from "./structured-agent.ts";
import type { StandardInput } from "./tool.ts";

export interface ClassifierOptions<L extends string> extends ModelAgentOptions {
  /** What each label means, as the model is told. At least two. */
  readonly labels: Readonly<Record<L, string>>;
  /** The answer in place of one whose confidence is below `minConfidence`; one of the labels. Both or neither. */
  readonly fallback?: NoInfer<L>;
  /** From 0 to 1. */
  readonly minConfidence?: number;
}

export interface Classification<L extends string = string> {
  readonly label: L;
  /** The model's own estimate from 0 to 1: good for comparing, not a probability. */
  readonly confidence: number;
  readonly reason: string;
}

const CHECKS: Checks<ClassifierOptions<string>> = { ...MODEL_AGENT_CHECKS, labels: record, fallback: words, minConfidence: fraction };

/**
 * An agent that puts its input under one of the given labels. It answers with JSON, `{ label, confidence, reason }`, which
 * `readClassification` reads.
 *
 * Rejects as a structured agent does: an answer with another label is given back once, then it is `AGENT_FAILED`.
 *
 * @throws AixgoError `INVALID_OPTION` naming the option
 */
export function createClassifierAgent<L extends string>(options: ClassifierOptions<L>): Agent {
  check("createClassifierAgent", "", CHECKS, options, ["name", "model", "labels"]);
  const { labels, fallback, minConfidence, instructions, ...rest } = options;
  const names = Object.keys(labels) as L[];
  if (names.length < 2) throw invalid(options.name, "labels must be at least two, by name");
  for (const name of names)
    if (typeof labels[name] !== "string") throw invalid(options.name, `labels.${name} must be a text that says what the label means`);
  if ((fallback === undefined) !== (minConfidence === undefined))
    throw invalid(options.name, "fallback and minConfidence are given both or neither");
  if (fallback !== undefined && !names.includes(fallback))
    throw invalid(options.name, `fallback must be one of the labels: ${names.join(", ")}`);
  const told = [
    ...(instructions === undefined ? [] : [instructions]),
    "Put the last message of the user under exactly one of these labels:",
    ...names.map((name) => `- ${name}: ${labels[name]}`),
    "Answer with JSON: the label, your confidence from 0 to 1, and the reason in one sentence.",
  ].join("\n");
  const structured = {
    ...rest,
    instructions: told,
    schema: classificationSchema(names),
    schemaName: "classification",
    jsonSchema: {
      type: "object",
      properties: {
        label: { type: "string", enum: names },
        confidence: { type: "number", minimum: 0, maximum: 1 },
        reason: { type: "string" },
      },
      required: ["label", "confidence", "reason"],
      additionalProperties: false,
    },
  };
  return structuredAgent<Classification<L>>(structured, ({ value }) =>
    fallback === undefined || minConfidence === undefined || value.confidence >= minConfidence
      ? { ...value }
      : { label: fallback, confidence: value.confidence, reason: `not sure enough of ${value.label}: ${value.reason}` },
  );
}

/**
 * What a classifier answered; with `labels`, one of them.
 *
 * @throws AixgoError `INVALID_INPUT` if the reply is no classification, or under another label
 */
export async function readClassification<L extends string>(
  reply: { readonly text: string } | Pick<Message, "parts">,
  labels?: readonly L[] | Readonly<Record<L, unknown>>,
): Promise<Classification<L>> {
  return readOutput(
    classificationSchema(labels === undefined ? undefined : ((Array.isArray(labels) ? labels : Object.keys(labels)) as L[])),
    reply,
  );
}

function classificationSchema<L extends string>(labels: readonly L[] | undefined): StandardInput<Classification<L>> {
  const validate = (value: unknown): unknown => {
    const { label, confidence, reason } = (typeof value === "object" && value !== null ? value : {}) as Readonly<Record<string, unknown>>;
    const issues: { readonly message: string; readonly path: readonly string[] }[] = [];
    if (typeof label !== "string" || (labels !== undefined && !labels.includes(label as L)))
      issues.push({ path: ["label"], message: `must be ${labels === undefined ? "a text" : `one of ${labels.join(", ")}`}` });
    if (typeof confidence !== "number" || !(confidence >= 0 && confidence <= 1))
      issues.push({ path: ["confidence"], message: "must be a number from 0 to 1" });
    if (typeof reason !== "string") issues.push({ path: ["reason"], message: "must be a text" });
    return issues.length > 0 ? { issues } : { value: { label, confidence, reason } };
  };
  return { "~standard": { version: 1, vendor: "aixgo", validate } };
}
