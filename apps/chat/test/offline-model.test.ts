import type { LanguageModelV3Prompt } from "@ai-sdk/provider";
import { describe, expect, it } from "vitest";
import { createOfflineModel, nextStep } from "../src/offline/offline-model.ts";
import type { Call } from "../src/offline/plan.ts";
import { evaluate } from "../src/tools/expression.ts";

const TOOLS: ReadonlySet<string> = new Set(["calculator", "clock", "notes", "search"]);

/** A conversation as the agent would hold it: the model's calls are answered, what it says is added, nothing else is kept. */
class Conversation {
  readonly prompt: LanguageModelV3Prompt = [{ role: "system", content: "You are an assistant." }];
  readonly calls: Call[][] = [];
  readonly notes: string[] = [];

  say(text: string): string {
    this.prompt.push({ role: "user", content: [{ type: "text", text }] });
    this.calls.length = 0;
    for (let steps = 0; steps < 10; steps++) {
      const next = nextStep(this.prompt, TOOLS);
      if (typeof next === "string") {
        this.prompt.push({ role: "assistant", content: [{ type: "text", text: next }] });
        return next;
      }
      this.calls.push([...next]);
      const calls = next.map((call, index) => ({ ...call, type: "tool-call" as const, toolCallId: `${this.prompt.length}-${index}` }));
      this.prompt.push({ role: "assistant", content: calls });
      for (const call of calls) {
        this.prompt.push({
          role: "tool",
          content: [{ type: "tool-result", toolCallId: call.toolCallId, toolName: call.toolName, output: this.#run(call) }],
        });
      }
    }
    throw new Error(`no answer to ${JSON.stringify(text)}: the model asks for tools again and again`);
  }

  #run({ toolName, input }: Call): { type: "json"; value: never } | { type: "error-text"; value: string } {
    const answer = (value: unknown): { type: "json"; value: never } => ({ type: "json", value: value as never });
    if (toolName === "clock") return answer({ time: "12:34", date: "Sunday 22 November 2026", timeZone: input["timeZone"] ?? "UTC" });
    if (toolName === "search") return answer({ hits: [{ who: "user", text: `something about ${String(input["query"])}` }] });
    if (toolName === "notes") {
      if (input["action"] === "add") this.notes.push(String(input["text"]));
      return answer({ notes: this.notes.map((text, index) => ({ number: index + 1, text })) });
    }
    try {
      return answer({ expression: input["expression"], result: evaluate(String(input["expression"])) });
    } catch (error) {
      return { type: "error-text", value: (error as Error).message };
    }
  }
}

/** Says all but the last, and returns the answer to the last. */
function after(...said: readonly string[]): string {
  const conversation = new Conversation();
  return said.map((text) => conversation.say(text)).at(-1) ?? "";
}

describe("the offline model remembers what the prompt says", () => {
  it.each<[string[], RegExp]>([
    [["My name is Ada", "What is my name?"], /Your name is Ada\./],
    [["my name is ada lovelace.", "who am I"], /ada/i],
    [["My name is Ada Lovelace", "What's my name?"], /Ada Lovelace/],
    [["I'm Ada", "do you remember my name?"], /Ada/],
    [["Call me Bob", "tell me my name please"], /Bob/],
    [["My name’s Zoë", "what’s my name"], /Zoë/],
    [["Hello, my name is Ada.", "Hi! Can you tell me what my name is?"], /Ada/],
    [["My name is Ada", "My name is Bob", "What is my name?"], /Your name is Bob\./],
    [["I live in Paris", "Where do I live?"], /You live in Paris/],
    [["I live in Paris", "I moved to Rome", "Where do I live?"], /^(?=.*Rome)(?!.*Paris)/],
    [["My favourite colour is blue", "What is my favorite color?"], /favourite colour is blue/],
    [["Blue is my favourite colour", "what's my favourite colour"], /blue/i],
    [["My dog is called Rex", "What is my dog's name?"], /Rex/],
    [["My dog's name is Rex", "what is my dog called?"], /Rex/],
    [["My dog's name is Rex", "what is the name of my dog?"], /Rex/],
    [["My birthday is on 3 May", "When is my birthday?"], /on 3 May/],
    [["I am 36 years old", "How old am I?"], /36/],
    [["I work at the post office", "Where do I work?"], /You work at the post office/],
    [["I like tea", "I like cake", "What do I like?"], /tea.*cake/],
    [["I'm allergic to nuts", "What am I allergic to?"], /allergic to nuts/],
    [["Remember that the meeting is on Friday", "When is the meeting?"], /on Friday/],
    [["Please remember the number 4711", "Which number did I ask you to remember?"], /4711/],
    [["The code word is swordfish", "What is the code word?"], /swordfish/],
    [["My name is Ada and I live in Paris.", "What is my name and where do I live?"], /Ada.*Paris/],
    [["My name is Ada, and what is 6*7?", "What is my name?"], /Ada/],
    [["My name is Ada", "I like tea", "What do you know about me?"], /Ada.*tea/],
    [["Our project starts in March", "When does the project start?"], /March/],
    [["My name is Ada", "how many messages do you remember?"], /2 earlier messages/],
    [["I saw a heron", "What did I just say?"], /I saw a heron/],
  ])("%j is answered with %s", (said, answer) => {
    expect(after(...said)).toMatch(answer);
  });

  it("says so when it was not told", () => {
    expect(after("What is my name?")).toBe("You have not told me your name yet.");
    expect(after("Where do I live?")).toMatch(/not told/);
    expect(after("What is my favourite colour?")).toMatch(/not told/);
  });

  it("does not know what is no longer in the prompt", () => {
    const conversation = new Conversation();
    conversation.say("My name is Ada");
    conversation.prompt.splice(1);
    expect(conversation.say("What is my name?")).toMatch(/not told/);
  });

  it("does not take a question or the assistant's words for a fact", () => {
    expect(after("Is my name Bob?", "What is my name?")).toMatch(/not told/);
    const conversation = new Conversation();
    conversation.prompt.push({ role: "assistant", content: [{ type: "text", text: "My name is Robot" }] });
    expect(conversation.say("What is my name?")).toMatch(/not told/);
  });
});

describe("the offline model asks the tools", () => {
  it.each<[string, string[][], RegExp]>([
    ["What is 2+3?", [["2+3"]], /2\+3 = 5\./],
    ["what is (2+3)*4 and then divided by 5?", [["(2+3)*4"], ["20 / 5"]], /= 20.*= 4\./],
    ["What is (2+3)*4? Then divide it by 5. Then add 1.", [["(2+3)*4"], ["20 / 5"], ["4 + 1"]], /= 5\./],
    ["what is seven times six", [["7 * 6"]], /= 42\./],
    ["12 * 12", [["12 * 12"]], /= 144\./],
    ["calculate 1,000 + 24", [["1000 + 24"]], /= 1024\./],
    ["How much is 15% of 80?", [["15 / 100 * 80"]], /= 12\./],
    ["what is the square root of 16?", [["sqrt(16)"]], /= 4\./],
    ["What is the sum of 3 and 5?", [["(3 + 5)"]], /= 8\./],
    ["What is 2 to the power of 10 and 3*3?", [["2 ^ 10", "3*3"]], /1024.*9\./],
    ["what is 3 - 10 and then times 2", [["3 - 10"], ["(-7) * 2"]], /= -14\./],
    ["what is 1/0?", [["1/0"]], /could not work out 1\/0: division by zero\./],
  ])("%s", (question, expressions, answer) => {
    const conversation = new Conversation();
    const said = conversation.say(question);
    expect(conversation.calls.map((step) => step.map((call) => call.input["expression"]))).toEqual(expressions);
    expect(said).toMatch(answer);
  });

  it("goes on from the result of an earlier turn", () => {
    expect(after("What is 6*7?", "And divided by 2?")).toMatch(/42 \/ 2 = 21/);
    expect(after("What is 6*7?", "What is that plus 8?")).toMatch(/42 \+ 8 = 50/);
    expect(after("divide it by 2")).toMatch(/no result to go on from/);
  });

  it("does not work out what was told", () => {
    expect(after("My phone number is 555-1234", "What is my phone number?")).toMatch(/555-1234/);
    expect(after("I was born on 1990-05-03", "When was I born?")).toMatch(/1990-05-03/);
  });

  it("tells the time, here and elsewhere", () => {
    expect(after("What time is it?")).toMatch(/12:34/);
    expect(after("what's the time in Tokyo?")).toMatch(/Tokyo \(Asia\/Tokyo\)/);
    expect(after("What day is it today?")).toMatch(/Sunday 22 November 2026/);
  });

  it("keeps and lists notes", () => {
    expect(after("Add a note: buy milk", "note that the plumber comes, and then leaves", "show my notes")).toMatch(
      /2 notes: 1\. buy milk; 2\. the plumber comes, and then leaves\./,
    );
    expect(after("show my notes")).toBe("You have no notes.");
    expect(after("add eggs to my notes", "What are my notes?")).toMatch(/eggs/);
  });

  it("searches the conversation", () => {
    const conversation = new Conversation();
    expect(conversation.say("What did I say about the garden?")).toMatch(/"something about the garden"/);
    expect(conversation.calls).toEqual([[{ toolName: "search", input: { query: "the garden" } }]]);
  });

  it("answers several things at once", () => {
    const conversation = new Conversation();
    conversation.say("My name is Ada");
    const said = conversation.say("What is my name, what is 2+2 and what time is it?");
    expect(said).toMatch(/Ada.*2\+2 = 4.*12:34/);
    expect(conversation.calls).toHaveLength(1);
  });

  it("says which tool is missing instead of asking for it for ever", () => {
    const prompt: LanguageModelV3Prompt = [{ role: "user", content: [{ type: "text", text: "What is 2+2?" }] }];
    expect(nextStep(prompt, new Set())).toMatch(/calculator is not at hand/);
  });
});

describe("the offline model is honest", () => {
  it.each(["What is the capital of France?", "Write me a poem", "Who are you?", "Are you ChatGPT?", "🙂", "why", "((((", "?"])(
    "%s",
    (said) => {
      expect(after(said)).toMatch(/small offline model/);
    },
  );

  it("answers long and hostile input", () => {
    for (const piece of ["my ", "what is ", "1+", "(", "and then ", "is my ", " name", "a'b ", "note note ", "what did i say ", "x"]) {
      expect(after(piece.repeat(10_000))).not.toBe("");
    }
  });

  it("streams words, ends with a finish, and stops when aborted", async () => {
    const stop = new AbortController();
    const { stream } = await createOfflineModel({ delayMs: 1 }).doStream({
      prompt: [{ role: "user", content: [{ type: "text", text: "help" }] }],
      abortSignal: stop.signal,
    });
    const types: string[] = [];
    await expect(
      (async () => {
        for await (const part of stream) {
          types.push((part as { type: string }).type);
          if (types.length === 5) stop.abort(new Error("enough"));
        }
      })(),
    ).rejects.toThrow();
    expect(types).toEqual(["stream-start", "text-start", "text-delta", "text-delta", "text-delta"]);
  });

  it("gives the same prompt the same calls", async () => {
    const prompt: LanguageModelV3Prompt = [{ role: "user", content: [{ type: "text", text: "what is 1+1?" }] }];
    const parts = async (): Promise<unknown[]> => {
      const all: unknown[] = [];
      for await (const part of (
        await createOfflineModel().doStream({ prompt, tools: [{ type: "function", name: "calculator", inputSchema: {} }] })
      ).stream)
        all.push(part);
      return all;
    };
    expect(await parts()).toEqual(await parts());
  });
});
