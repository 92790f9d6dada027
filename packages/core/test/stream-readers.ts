import * as v6 from "ai";
import * as v5 from "ai-5";
import { type AgentEvent, createRuntime, type Execute, type ReplyStream, type Runtime } from "../src/index.ts";

export async function runtimeOf(execute: Execute): Promise<Runtime> {
  const runtime = createRuntime().register("agent", execute);
  await runtime.start();
  return runtime;
}
export async function streamOf(execute: Execute): Promise<ReplyStream> {
  return (await runtimeOf(execute)).stream("agent", "q");
}
export const delta = (text: string): AgentEvent => ({ type: "text-delta", text });

/** What the AI SDK itself reads: every chunk passes its schema. */
export async function chunksOf(response: Response): Promise<v6.UIMessageChunk[]> {
  const chunks: v6.UIMessageChunk[] = [];
  const parsed = v6.parseJsonEventStream({ stream: response.body as never, schema: v6.uiMessageChunkSchema });
  for await (const result of parsed) {
    if (!result.success) throw result.error;
    chunks.push(result.value);
  }
  return chunks;
}
/** The message that a chat of the AI SDK shows in the end, in each of the generations that we name. */
export const CHATS = { v5, v6 };
export async function shownBy(
  respond: () => Response,
  { generation = "v6", message }: { readonly generation?: keyof typeof CHATS; readonly message?: v6.UIMessage } = {},
): Promise<v6.UIMessage> {
  // The parts that are used here are the same in both.
  const { DefaultChatTransport, readUIMessageStream } = CHATS[generation] as typeof v6;
  const transport = new DefaultChatTransport({ fetch: async () => respond() });
  const chunks = await transport.sendMessages({
    trigger: "submit-message",
    chatId: "c",
    messageId: undefined,
    messages: [],
    abortSignal: undefined,
  });
  let last: v6.UIMessage | undefined;
  // A message that the chat shows already: the stream goes on with it.
  const read = readUIMessageStream({ stream: chunks, terminateOnError: true, ...(message === undefined ? {} : { message }) });
  for await (const each of read) last = each;
  return last as v6.UIMessage;
}

interface Frame {
  readonly id?: string;
  readonly event?: string;
  readonly data?: string;
  readonly retry?: string;
}
export function framesOf(text: string): Frame[] {
  return text
    .split("\n\n")
    .filter((block) => block !== "" && !block.startsWith(":"))
    .map((block) =>
      Object.fromEntries(block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)])),
    );
}
