import { textOf, type MessageInput, type Reply, type ReplyStream } from "@aixgo/core";
import type { Output } from "./output.ts";
import { printable } from "./printable.ts";
import type { Style } from "./style.ts";
import { toolLines } from "./tool-lines.ts";

/** Shows a turn as it happens: words as they come, tool calls and results on a dim line each. */
export async function showTurn(stream: ReplyStream, output: Output, style: Style): Promise<Reply> {
  let shown = "";
  const say = async (text: string): Promise<void> => {
    const clean = printable(text);
    if (shown === "" && clean !== "") await output.write(`${style.mark("agent ›")} `);
    shown += clean;
    await output.write(clean);
  };
  const endLine = async (): Promise<void> => {
    if (shown !== "") await output.write("\n");
    shown = "";
  };
  /** The stored text is what counts: a reader that lagged may have missed some of its words. */
  const settle = async (message: MessageInput): Promise<void> => {
    const text = printable(typeof message === "string" ? message : textOf(message));
    if (text !== shown) {
      if (!text.startsWith(shown)) await endLine();
      await say(text.slice(shown.length));
    }
    await endLine();
  };

  try {
    for await (const event of stream) {
      if (event.type === "text-delta") await say((event as { readonly text: string }).text);
      else if (event.type === "message") {
        const { message } = event as { readonly message: MessageInput };
        await settle(isOfTool(message) ? "" : message);
        for (const line of toolLines(message)) await output.write(`${style.dim(`  ${line}`)}\n`);
      }
    }
    const reply = await stream.reply;
    return reply;
  } finally {
    await endLine();
  }
}

function isOfTool(message: MessageInput): boolean {
  return typeof message !== "string" && message.role === "tool";
}
