import { textOf } from "@aixgo/core";
import type { Chat } from "./chat.ts";
import { nearest } from "./nearest.ts";
import { idsLike, readOutline } from "./outline.ts";
import { oneLine, printable, shortened } from "./printable.ts";
import type { Style } from "./style.ts";
import { toolLines } from "./tool-lines.ts";
import { drawTree, SHORT_ID } from "./tree.ts";
import { placeBeforeLastTurn } from "./unfinished-turn.ts";

export interface CommandResult {
  readonly lines: readonly string[];
  readonly quit?: true;
}

interface Command {
  readonly name: string;
  /** What follows the name. */
  readonly takes: string;
  readonly summary: string;
  readonly run: (chat: Chat, argument: string, style: Style) => Promise<CommandResult>;
}

/** A command that cannot be done; the message is for the user. */
export class CommandError extends Error {
  override readonly name = "CommandError";
}

const MAX_LISTED = 20;

const COMMANDS: readonly Command[] = [
  { name: "history", takes: "", summary: "what was said so far", run: history },
  { name: "tree", takes: "", summary: "all branches of this session", run: tree },
  { name: "checkpoint", takes: "[label]", summary: "name this place, to come back to", run: checkpoint },
  { name: "restore", takes: "ID", summary: "go back to a checkpoint, message or entry (a unique beginning will do)", run: restore },
  { name: "undo", takes: "", summary: "go back to before the last turn", run: undo },
  { name: "fork", takes: "", summary: "go on in a copy of this session", run: fork },
  { name: "sessions", takes: "", summary: "your sessions", run: listSessions },
  { name: "new", takes: "", summary: "start a new session", run: startAnew },
  { name: "help", takes: "", summary: "this list", run: help },
  { name: "quit", takes: "", summary: "leave (Ctrl-D does, too)", run: async () => ({ lines: [], quit: true }) },
];

export function isCommand(line: string): boolean {
  return /^\s*\/(?!\/)/.test(line);
}

/** What a line that is no command says: "//" at its beginning stands for a "/". */
export function messageIn(line: string): string {
  return line.replace(/^(\s*)\/\//, "$1/");
}

/** Does what a line that begins with "/" asks for. Throws `CommandError`, or what the store throws. */
export async function runCommand(chat: Chat, line: string, style: Style): Promise<CommandResult> {
  const [, name = "", argument = ""] = /^\/(\S*)\s*(.*)$/s.exec(line.trim()) ?? [];
  const command = COMMANDS.find((each) => each.name === name.toLowerCase());
  if (command === undefined) {
    const close = nearest(
      name.toLowerCase(),
      COMMANDS.map((each) => each.name),
    );
    throw new CommandError(
      `there is no command /${shortened(name, 30)}. ${close === undefined ? "/help lists them" : `Did you mean /${close}?`}; to say a "/", begin with two`,
    );
  }
  if (command.takes === "" && argument !== "") throw new CommandError(`/${command.name} takes nothing after it`);
  return command.run(chat, argument, style);
}

async function history({ session }: Chat, _: string, style: Style): Promise<CommandResult> {
  const lines: string[] = [];
  for await (const message of session.readMessages()) {
    const text = printable(textOf(message)).trim();
    if (text !== "")
      lines.push(`${style.dim(message.id.slice(0, SHORT_ID))} ${style.name(message.role === "user" ? "you" : message.role)} ${text}`);
    for (const line of toolLines(message)) lines.push(style.dim(`${" ".repeat(SHORT_ID)} ${line}`));
  }
  return { lines: lines.length === 0 ? ["Nothing has been said yet."] : lines };
}

async function tree({ session }: Chat, _: string, style: Style): Promise<CommandResult> {
  return { lines: drawTree(await readOutline(session), style) };
}

async function checkpoint({ session }: Chat, label: string, style: Style): Promise<CommandResult> {
  const made = await session.checkpoint(label === "" ? {} : { label: oneLine(label) });
  return {
    lines: [
      `Checkpoint ${style.bold(made.id)}${made.label === undefined ? "" : ` "${made.label}"`} at ${counted(made.messageCount, "message")}. /restore ${made.id.slice(0, SHORT_ID)} comes back to it.`,
    ],
  };
}

async function restore({ session }: Chat, given: string): Promise<CommandResult> {
  if (given === "") throw new CommandError("/restore needs the id of a checkpoint, message or entry; /tree and /history show them");
  const outline = await readOutline(session);
  const ids = idsLike(outline, given);
  const [target] = ids;
  if (target === undefined)
    throw new CommandError(
      `this session has no checkpoint, message or entry ${JSON.stringify(shortened(given, 40))}; /tree and /history show their ids`,
    );
  if (ids.length > 1)
    throw new CommandError(
      `${JSON.stringify(given)} begins ${ids.length} ids: ${ids.slice(0, 5).join(", ")}${ids.length > 5 ? ", …" : ""}; give more of it`,
    );
  const { messageCount } = await session.restore(target, { reason: "restored in the chat" });
  return { lines: [`Back at ${target}, with ${counted(messageCount, "message")}. ${wayBack(outline.nodes[outline.head]?.id)}`] };
}

async function undo({ session }: Chat): Promise<CommandResult> {
  const target = await placeBeforeLastTurn(session);
  if (target === undefined) throw new CommandError("there is no turn to undo");
  const outline = await readOutline(session);
  const { messageCount } = await session.restore(target, { reason: "undone in the chat" });
  return { lines: [`The last turn is undone; ${counted(messageCount, "message")} left. ${wayBack(outline.nodes[outline.head]?.id)}`] };
}

function wayBack(id: string | undefined): string {
  return id === undefined ? "" : `Nothing is lost: /restore ${id.slice(0, SHORT_ID)} takes this back.`;
}

async function fork(chat: Chat): Promise<CommandResult> {
  const from = chat.session;
  const session = await from.fork({ userId: chat.user });
  chat.switchTo(session);
  const { messageCount } = await session.info();
  return {
    lines: [
      `You are now in ${session.id}, a copy with ${counted(messageCount, "message")}. --session ${session.id} comes back to it; without it you come back to ${from.id}.`,
    ],
  };
}

async function startAnew(chat: Chat): Promise<CommandResult> {
  const before = chat.session.id;
  const session = await chat.startAnew();
  return {
    lines: [
      `You are now in ${session.id}, which is empty. --session ${session.id} comes back to it, --session ${before} to the one before.`,
    ],
  };
}

async function listSessions(chat: Chat, _: string, style: Style): Promise<CommandResult> {
  const { items, nextCursor } = await chat.sessions.list({ userId: chat.user, agentName: chat.session.agentName, limit: MAX_LISTED });
  const lines = items.map(
    ({ id, messageCount, updatedAt }) =>
      `${id === chat.session.id ? style.mark("●") : " "} ${id}  ${updatedAt.slice(0, 16).replace("T", " ")}  ${counted(messageCount, "message")}`,
  );
  return { lines: nextCursor === undefined ? lines : [...lines, `  … and more`] };
}

async function help(_chat: Chat, _: string, style: Style): Promise<CommandResult> {
  const width = Math.max(...COMMANDS.map(({ name, takes }) => name.length + takes.length)) + 4;
  return {
    lines: COMMANDS.map(
      ({ name, takes, summary }) => `${style.name(`/${name}${takes === "" ? "" : ` ${takes}`}`.padEnd(width))}${summary}`,
    ),
  };
}

export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
