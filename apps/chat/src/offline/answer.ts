import type { Intent } from "./intents.ts";
import type { Memory } from "./memory.ts";
import { mirrored } from "./phrases.ts";
import type { Step } from "./plan.ts";
import { numberIn, type Transcript } from "./transcript.ts";

/** Says what is known, one sentence for each thing that was wanted. Everything comes from the transcript. */
export function answerTo(steps: readonly Step[], memory: Memory, transcript: Transcript): string {
  const sentences: string[] = [];
  const sums: string[] = [];
  const flush = (): void => {
    if (sums.length > 0) sentences.push(`${sums.splice(0).join(", then ")}.`);
  };
  for (const step of steps) {
    const sum = step.intent.kind === "arithmetic" ? sumOf(step) : undefined;
    if (sum !== undefined) {
      sums.push(sum);
      continue;
    }
    flush();
    sentences.push(sentenceFor(step, memory, transcript));
  }
  flush();
  return [...new Set(sentences)].join(" ") || whatIAm(transcript);
}

function sumOf(step: Step): string | undefined {
  const result = step.outcome?.ok === true ? numberIn(step.outcome.value) : undefined;
  return result === undefined ? undefined : `${expressionOf(step) ?? ""} = ${result}`;
}

function expressionOf({ call }: Step): string | undefined {
  const expression = call?.input["expression"];
  return typeof expression === "string" ? expression : undefined;
}

function sentenceFor(step: Step, memory: Memory, transcript: Transcript): string {
  const { intent } = step;
  switch (intent.kind) {
    case "arithmetic":
      return `I could not work out ${expressionOf(step) ?? intent.expression.replaceAll("ANS", "that")}: ${reasonOf(step)}.`;
    case "time":
      return timeSentence(step, intent);
    case "notes":
      return notesSentence(step, intent);
    case "search":
      return searchSentence(step, intent);
    case "tell-name":
      return `Nice to meet you, ${intent.name}.`;
    case "tell":
      return `I will remember that your ${intent.spoken} ${intent.verb} ${mirrored(intent.value)}.`;
    case "tell-doing":
      return `I will remember that you ${mirrored(intent.text)}.`;
    case "keep":
      return `I will remember: ${intent.text}.`;
    case "ask-name":
      return memory.name === undefined ? "You have not told me your name yet." : `Your name is ${memory.name}.`;
    case "ask":
      return factSentence(intent, memory);
    case "ask-doing":
      return doingSentence(intent, memory);
    case "ask-kept":
      return memory.kept.length === 0
        ? "You have not asked me to remember anything yet."
        : `You asked me to remember: ${memory.kept.join("; ")}.`;
    case "ask-all": {
      const known = memory.everything();
      return known.length === 0 ? "You have not told me anything about yourself yet." : `I know that ${known.join("; ")}.`;
    }
    case "count":
      return `I remember ${countOf(transcript)} of this conversation.`;
    case "first-said":
      return quoteOf(
        transcript.earlier.find(({ who }) => who === "user")?.text,
        "The first thing you said was",
        "This is the first thing you say to me.",
      );
    case "last-said":
      return quoteOf(
        transcript.earlier.findLast(({ who }) => who === "user")?.text,
        "Before this you said",
        "This is the first thing you say to me.",
      );
    case "last-answer":
      return quoteOf(transcript.earlier.findLast(({ who }) => who === "assistant")?.text, "I said", "I have not said anything yet.");
    case "greeting":
      return memory.name === undefined ? "Hello! What is your name?" : `Hello, ${memory.name}.`;
    case "thanks":
      return "You are welcome.";
    case "help":
      return whatIAm(transcript);
    case "unknown":
      return recallSentence(intent, memory, transcript);
  }
}

function factSentence({ topic, spoken }: Extract<Intent, { kind: "ask" }>, memory: Memory): string {
  const fact = memory.fact(topic);
  if (fact !== undefined) return `Your ${fact.spoken} ${fact.verb} ${mirrored(fact.value)}.`;
  if (topic === "name" && memory.name !== undefined) return `Your name is ${memory.name}.`;
  const told = memory.recall(topic);
  return told === undefined
    ? `I do not know about "${spoken}": you have not told me, and a small offline model knows nothing else.`
    : `You told me: "${told}".`;
}

function doingSentence({ verb, words }: Extract<Intent, { kind: "ask-doing" }>, memory: Memory): string {
  const doings = memory.doings(verb);
  if (doings.length > 0) return `You ${doings.map(mirrored).join("; you ")}.`;
  const told = memory.recall(`${verb} ${words}`);
  return told === undefined ? "You have not told me that yet." : `You told me: "${told}".`;
}

function recallSentence({ text, question }: Extract<Intent, { kind: "unknown" }>, memory: Memory, transcript: Transcript): string {
  if (!question) return `I keep that in our conversation, but that is all I can do with it. ${whatIAm(transcript)}`;
  const told = memory.recall(text);
  return told === undefined ? `I cannot answer that. ${whatIAm(transcript)}` : `You told me: "${told}".`;
}

function timeSentence(step: Step, { want, timeZone }: Extract<Intent, { kind: "time" }>): string {
  const value = step.outcome?.ok === true ? (step.outcome.value as { date?: string; time?: string; timeZone?: string }) : undefined;
  if (value === undefined) return `I could not read the clock: ${reasonOf(step)}.`;
  const where = timeZone === undefined ? "" : ` in ${(timeZone.split("/").at(-1) ?? timeZone).replaceAll("_", " ")}`;
  return want === "time" ? `It is ${value.time}${where} (${value.timeZone}), ${value.date}.` : `It is ${value.date}${where}.`;
}

function notesSentence(step: Step, { input }: Extract<Intent, { kind: "notes" }>): string {
  if (step.outcome?.ok !== true) return `I could not change or read your notes: ${reasonOf(step)}.`;
  const notes = (step.outcome.value as { notes?: readonly { number: number; text: string }[] }).notes ?? [];
  if (input.action === "add")
    return `Noted: ${input.text ?? ""} (note ${notes.findLast(({ text }) => text === input.text?.trim())?.number ?? notes.length}).`;
  if (input.action === "remove") return `Note ${input.number ?? 0} is removed; ${plural(notes.length, "note")} left.`;
  if (input.action === "clear") return "All notes are removed.";
  return notes.length === 0
    ? "You have no notes."
    : `You have ${plural(notes.length, "note")}: ${notes.map(({ number, text }) => `${number}. ${text}`).join("; ")}.`;
}

function searchSentence(step: Step, { query, who }: Extract<Intent, { kind: "search" }>): string {
  if (step.outcome?.ok !== true) return `I could not search: ${reasonOf(step)}.`;
  const hits = (step.outcome.value as { hits?: readonly { who: string; text: string }[] }).hits ?? [];
  const theirs = hits.filter((hit) => hit.who === who);
  // What was asked about it before is of less use than what was said.
  const said = theirs.some(({ text }) => !isQuestion(text)) ? theirs.filter(({ text }) => !isQuestion(text)) : theirs;
  if (said.length === 0) return `I found nothing that ${who === "user" ? "you" : "I"} said about ${query}.`;
  return `About ${query} ${who === "user" ? "you" : "I"} said: ${said
    .slice(0, 3)
    .map(({ text }) => `"${text}"`)
    .join(" and ")}.`;
}

/** What this is, without pretence. */
export function whatIAm(transcript: Transcript): string {
  return (
    `I am a small offline model, rules and no AI: I remember names, facts and notes you give me, do arithmetic, tell the time and search our conversation. ` +
    `I remember ${countOf(transcript)}.`
  );
}

function countOf({ earlier }: Transcript): string {
  return plural(earlier.length, "earlier message");
}

function reasonOf({ outcome, obstacle }: Step): string {
  if (obstacle !== undefined) return obstacle;
  return (outcome?.ok === false ? outcome.reason : "the tool gave no answer").replace(/^The tool failed: /, "").replace(/[.\s]+$/, "");
}

function isQuestion(text: string): boolean {
  return text.trimEnd().endsWith("?");
}

function quoteOf(text: string | undefined, lead: string, otherwise: string): string {
  return text === undefined ? otherwise : `${lead}: "${text}".`;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
