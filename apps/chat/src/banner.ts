import { type Message, textOf } from "@aixgo/core";
import type { Chat } from "./chat.ts";
import { counted } from "./commands.ts";
import type { Output } from "./output.ts";
import { shortened } from "./printable.ts";
import type { Style } from "./style.ts";

const MAX_SHOWN = 160;

/** Who answers, where everything is kept, and what was said last. */
export async function showBanner(chat: Chat, messages: readonly Message[], output: Output, style: Style): Promise<void> {
  const { messageCount } = await chat.session.info();
  const lines = [
    style.bold("aixgo chat"),
    `${style.dim("model  ")} ${chat.isOffline ? style.warning(chat.modelLabel) : chat.modelLabel}`,
    `${style.dim("session")} ${chat.session.id} ${style.dim(`of ${chat.user}, ${counted(messageCount, "message")}, stored in ${chat.place}`)}`,
    style.dim("/help lists the commands, Ctrl-C stops an answer, Ctrl-D leaves"),
    ...lastExchange(messages, style),
  ];
  await output.write(`${lines.join("\n")}\n\n`);
}

function lastExchange(messages: readonly Message[], style: Style): readonly string[] {
  const at = messages.findLastIndex(({ role }) => role === "user");
  if (at < 0) return [];
  const answer = messages.slice(at + 1).findLast((message) => message.role === "assistant" && textOf(message) !== "");
  const asked = `${style.dim("last time")} ${style.name("you ›")} ${shortened(textOf(messages[at]!), MAX_SHOWN)}`;
  return answer === undefined ? ["", asked] : ["", asked, `          ${style.mark("agent ›")} ${shortened(textOf(answer), MAX_SHOWN)}`];
}
