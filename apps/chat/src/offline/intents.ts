import { expressionIn } from "./arithmetic.ts";
import { clausesOf, topicOf, type Clause } from "./phrases.ts";
import { timeZoneIn } from "./time-zone.ts";

/** What one clause wants. */
export type Intent =
  | { readonly kind: "tell-name"; readonly name: string }
  /** "my <topic> is <value>" */
  | { readonly kind: "tell"; readonly topic: string; readonly spoken: string; readonly verb: string; readonly value: string }
  /** "I <verb> <rest>" */
  | { readonly kind: "tell-doing"; readonly verb: string; readonly text: string }
  | { readonly kind: "keep"; readonly text: string; readonly within: readonly Intent[] }
  | { readonly kind: "ask-name" }
  | { readonly kind: "ask"; readonly topic: string; readonly spoken: string }
  | { readonly kind: "ask-doing"; readonly verb: string; readonly words: string }
  | { readonly kind: "ask-kept"; readonly words: string }
  | { readonly kind: "ask-all" }
  | { readonly kind: "arithmetic"; readonly expression: string }
  | { readonly kind: "time"; readonly want: "time" | "date"; readonly timeZone: string | undefined }
  | {
      readonly kind: "notes";
      readonly input: { readonly action: "add" | "list" | "remove" | "clear"; readonly text?: string; readonly number?: number };
    }
  | { readonly kind: "search"; readonly query: string; readonly who: "user" | "assistant" }
  | { readonly kind: "count" | "help" | "greeting" | "thanks" | "first-said" | "last-said" | "last-answer" }
  | { readonly kind: "unknown"; readonly text: string; readonly question: boolean };

type Rule = readonly [pattern: RegExp, make: (match: RegExpExecArray, clause: Clause) => Intent | undefined];

const NAME = "([\\p{L}][\\p{L}\\p{M}'.-]*(?: [\\p{Lu}][\\p{L}\\p{M}'.-]*){0,3})";
/** Verbs of "I …": the first group holds one value at a time, the second many. */
const ONE = "live|work|study";
const MANY = "like|love|prefer|hate|dislike|have|own|speak|play|drive|eat|drink|need|want|use|collect";

/** Tried in this order; the first that fits wins. */
const RULES: readonly Rule[] = [
  [/^(?:hi|hello|hey|good (?:morning|afternoon|evening|day))(?: there| again)?$/i, () => ({ kind: "greeting" })],
  [/^(?:many )?(?:thanks|thank you|thx)\b.{0,20}$/i, () => ({ kind: "thanks" })],
  [
    /^(?:help|what can you do|who are you|what are you|are you (?:a |an )?(?:real |large )?(?:ai|llm|bot|robot|model|human|person|gpt|claude)\b.*|how do you work|what model .*|which model .*)$/i,
    () => ({ kind: "help" }),
  ],

  [
    /^(?:list|show|read|see|give)(?: me)?(?: all)?(?: of)? (?:my|the) notes$|^(?:my|all) notes$|^(?:what(?:'s| is| are)?|which)(?: in| on)? (?:my|the) notes$|^(?:what|which) notes (?:do i have|have i(?: got)?|are there)$|^do i have (?:any )?notes$/i,
    () => ({ kind: "notes", input: { action: "list" } }),
  ],
  [/^(?:clear|delete|remove) (?:all(?: of)? )?(?:my|the) notes$/i, () => ({ kind: "notes", input: { action: "clear" } })],
  [
    /^(?:delete|remove|drop) (?:the |my )?note (?:number |no\.? ?|#)?(\d{1,4})$/i,
    ([, number]) => ({ kind: "notes", input: { action: "remove", number: Number(number) } }),
  ],
  [
    /^(?:(?:add|take|make|write|create|save)(?: down)?(?: me)? (?:a |another )?(?:new )?note|note(?: down)?)(?:\s*:\s*|\s+(?:that says |saying |that |to |of )?)(.+)$/is,
    ([, text]) => note(text!),
  ],
  [/^(?:add|put|write|save) (.+?) (?:to|in|into|on) (?:my|the) notes$/is, ([, text]) => note(text!)],
  [/^write (?:this )?down:? (?:that )?(.+)$/is, ([, text]) => note(text!)],

  [
    /^(?:what|how many things|which \w+) (?:did|have) i (?:ask|tell|told|asked)(?: you)? to (?:remember|keep)(.*)$/i,
    ([all]) => ({ kind: "ask-kept", words: all }),
  ],
  [/^what (\w+) did i (?:ask|tell) you to (?:remember|keep)$/i, ([, words]) => ({ kind: "ask-kept", words: words! })],
  [
    /^what (?:do you (?:know|remember)|did i tell you|have i told you) about (?:me|myself)$|^what (?:do you remember|did i tell you|have i told you)$/i,
    () => ({ kind: "ask-all" }),
  ],
  [
    /^(?:what (?:did|have) i (?:say|said|tell you|told you|mention|mentioned|write|wrote|ask|asked)(?: you)?(?: earlier| before)?(?: about| on| regarding)) (.+)$/i,
    ([, query]) => ({ kind: "search", query: query!, who: "user" }),
  ],
  [
    /^(?:what did you (?:say|tell me|answer)(?: earlier| before)?(?: about| on)) (.+)$/i,
    ([, query]) => ({ kind: "search", query: query!, who: "assistant" }),
  ],
  [
    /^(?:did|have|when did) i (?:ever )?(?:say|said|mention|mentioned|talk|talked|speak|spoken|write|written)(?: anything| something)?(?: about)? (.+)$/i,
    ([, query]) => ({ kind: "search", query: query!, who: "user" }),
  ],
  [
    /^search (?:for |our conversation for |the conversation for |the history for )?(.+)$/i,
    ([, query]) => ({ kind: "search", query: query!, who: "user" }),
  ],
  [/^how many (?:messages|turns)\b.*$|^how much (?:do you|can you) remember$/i, () => ({ kind: "count" })],
  [/^what (?:did i (?:just )?say|was my (?:last|previous) (?:message|question))$/i, () => ({ kind: "last-said" })],
  [/^what (?:did i say first|was my first (?:message|question)|was the first thing i (?:said|asked))$/i, () => ({ kind: "first-said" })],
  [/^what (?:did you (?:just )?say|was your (?:last|previous) (?:answer|reply|message))$/i, () => ({ kind: "last-answer" })],

  [
    /^(?:what(?:'s| is)? )?(?:the )?(?:current )?time(?: is it| it is)?(?: (?:right )?now)?(?: in (.+?))?(?: (?:right )?now)?$/i,
    ([, place]) => clock("time", place),
  ],
  [
    /^what(?:'s| is)? (?:the )?(?:date|day)(?: is it| it is| is)?(?: today| now)?(?: in (.+))?$|^what(?:'s| is) today(?:'s date)?$|^what day is today$|^(?:the date|today's date)$/i,
    ([, place]) => clock("date", place),
  ],

  [
    /^(?:what(?:'s| is| was)? my (?:own )?(?:first |last |full )?name(?: is)?|who am i|my name)$/i,
    (_, { question }) => (question ? { kind: "ask-name" } : undefined),
  ],
  [/^(?:how old am i|how old i am)$/i, () => ({ kind: "ask", topic: "age", spoken: "age" })],
  [
    new RegExp(`^(?:what|where|which|who|how|when)(?: (.+?))? (?:do|did) i (${ONE}|${MANY}|do)\\b(.*)$`, "i"),
    ([, before, verb, after]) => ({
      kind: "ask-doing",
      verb: verb!.toLowerCase() === "do" ? "work" : verb!.toLowerCase(),
      words: `${before ?? ""} ${after ?? ""}`,
    }),
  ],
  [
    new RegExp(`^(?:what|where|which)(?: (.+?))? i (${ONE}|${MANY})$`, "i"),
    ([, before, verb]) => ({ kind: "ask-doing", verb: verb!.toLowerCase(), words: before ?? "" }),
  ],

  [
    /^remember(?: this)?(?: that)?[:,]? (.+)$/is,
    ([, text]) => ({ kind: "keep", text: text!, within: intentsOf(text!).filter((intent) => intent.kind.startsWith("tell")) }),
  ],
  [
    new RegExp(`^(?:my (?:first |full )?name is|my name's|i am called|i'm called|(?:you can )?call me|the name is) ${NAME}$`, "iu"),
    ([, name], { question }) => (question ? undefined : { kind: "tell-name", name: name! }),
  ],
  [/^(?:i am|i'm) (\d{1,3})(?: years old)?$/i, ([, age]) => ({ kind: "tell", topic: "age", spoken: "age", verb: "is", value: age! })],
  [
    new RegExp(`^(?:[iI] am|[iI]'m) ((?!I\\b)\\p{Lu}[\\p{L}\\p{M}'-]+(?: \\p{Lu}[\\p{L}\\p{M}'-]+)?)$`, "u"),
    ([, name], { question }) => (question ? undefined : { kind: "tell-name", name: name! }),
  ],

  [
    /^(?:what|who|when|where|which)(?:'s| is| are| was| were) (?:my|our|the) (.+?)(?: called| named)?$/i,
    ([all, topic]) => arithmeticOr(all, / (?:called|named)$/i.test(all) ? `${topic!} name` : topic!),
  ],
  [
    /^(?:what|who|when|where) (?:my|our|the) (.+) (?:is|are|was)(?: called| named)?$/i,
    ([all, topic]) => ({ kind: "ask", topic: topicOf(/ (?:called|named)$/i.test(all) ? `${topic!} name` : topic!), spoken: topic! }),
  ],
  [
    /^my (.+)$/i,
    ([, topic], { question }) =>
      question && !/\b(?:is|are)\b/.test(topic!) ? { kind: "ask", topic: topicOf(topic!), spoken: topic! } : undefined,
  ],
  [
    /^(?:my|our|the) (.{1,80}?) (?:is|are) (?:called|named) (.+)$/is,
    ([, topic, value], { question }) =>
      question ? undefined : { kind: "tell", topic: topicOf(`${topic!} name`), spoken: `${topic!}'s name`, verb: "is", value: value! },
  ],
  [
    /^(?:my|our|the) (.{1,80}?) (is|are|was|were) (.+)$/is,
    ([, topic, verb, value], { question }) =>
      question ? undefined : { kind: "tell", topic: topicOf(topic!), spoken: topic!, verb: verb!, value: value! },
  ],
  [
    /^(.{1,80}) (is|are) (?:my|our) (.{1,80})$/is,
    ([, value, verb, topic], { question }) =>
      question ? undefined : { kind: "tell", topic: topicOf(topic!), spoken: topic!, verb: verb!, value: value! },
  ],
  [/^i(?:'ve)? (?:just )?moved to (.+)$/i, ([, place]) => ({ kind: "tell-doing", verb: "live", text: `live in ${place!}` })],
  [
    new RegExp(`^i (?:really |also |now )?((${ONE}|${MANY})\\b.*)$`, "is"),
    ([, text, verb], { question }) => (question ? undefined : { kind: "tell-doing", verb: verb!.toLowerCase(), text: text! }),
  ],
];

/** Everything an input wants, in its order. */
export function intentsOf(input: string): readonly Intent[] {
  return clausesOf(input).map(intentOf);
}

/** Whether there is only one value of this verb at a time: who moves no longer lives where they did. */
export function isSingle(verb: string): boolean {
  return ONE.split("|").includes(verb);
}

function intentOf(clause: Clause): Intent {
  for (const [pattern, make] of RULES) {
    const match = pattern.exec(clause.text);
    const intent = match === null ? undefined : make(match, clause);
    if (intent !== undefined) return intent;
  }
  const expression = expressionIn(clause.text);
  return expression === undefined ? { kind: "unknown", text: clause.text, question: clause.question } : { kind: "arithmetic", expression };
}

/** "What is the square root of 16" asks for a number, "what is the code word" for what was told. */
function arithmeticOr(clause: string, topic: string): Intent {
  const expression = expressionIn(clause);
  return expression === undefined ? { kind: "ask", topic: topicOf(topic), spoken: topic } : { kind: "arithmetic", expression };
}

function clock(want: "time" | "date", place: string | undefined): Intent | undefined {
  const timeZone = place === undefined ? undefined : timeZoneIn(place);
  return place !== undefined && timeZone === undefined ? undefined : { kind: "time", want, timeZone };
}

function note(text: string): Intent {
  return { kind: "notes", input: { action: "add", text: text.replace(/^["'](.+)["']$/s, "$1").slice(0, 2_000) } };
}
