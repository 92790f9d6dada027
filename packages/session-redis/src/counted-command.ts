import { isAscii } from "node:buffer";
import { type Cluster, Command, type Redis } from "ioredis";

const TEXT_BYTES = 4_096;

/** Knows how often it has been written: that tells whether it can have been done, and whether it can have been done twice. */
export class CountedCommand extends Command {
  sends = 0;

  /** `args` are texts and Buffers already, and keys have their prefix: nothing is left for the client to convert. */
  constructor(name: string, args: readonly (string | Buffer)[]) {
    super(name, [], { replyEncoding: null });
    this.args = args as (string | Buffer)[];
  }

  /** Texts between two Buffers become one piece, which is far cheaper than a piece for each argument. */
  override toWritable(): string | Buffer {
    this.sends += 1;
    // Short plain lines are cheaper as a text, too: what leaves together is joined and written once.
    const text = this.#asText();
    if (text !== undefined) return text;
    // Most commands are plain ASCII but for their lines: then the length of a text is its bytes.
    return this.#encoded((text) => text.length, "latin1") ?? (this.#encoded(Buffer.byteLength, "utf8") as string | Buffer);
  }

  /** Undefined if something is not plain ASCII, or long. */
  #asText(): string | undefined {
    let text = `*${this.args.length + 1}\r\n$${this.name.length}\r\n${this.name}\r\n`;
    for (const arg of this.args as readonly (string | Buffer)[]) {
      if (typeof arg === "string") {
        text += `$${arg.length}\r\n${arg}\r\n`;
        continue;
      }
      if (arg.length > TEXT_BYTES || !isAscii(arg)) return undefined;
      text += `$${arg.length}\r\n${arg.toString("latin1")}\r\n`;
    }
    return Buffer.byteLength(text) === text.length ? text : undefined;
  }

  #encoded(lengthOf: (text: string) => number, encoding: "latin1" | "utf8"): string | Buffer | undefined {
    const pieces: (string | Buffer)[] = [];
    let text = `*${this.args.length + 1}\r\n$${this.name.length}\r\n${this.name}\r\n`;
    let bytes = 0;
    const isPlain = (piece: string): boolean => encoding === "utf8" || Buffer.byteLength(piece) === piece.length;
    for (const arg of this.args as readonly (string | Buffer)[]) {
      if (typeof arg === "string") {
        text += `$${lengthOf(arg)}\r\n${arg}\r\n`;
        continue;
      }
      text += `$${arg.length}\r\n`;
      if (!isPlain(text)) return undefined;
      pieces.push(text, arg);
      bytes += lengthOf(text) + arg.length;
      text = "\r\n";
    }
    if (!isPlain(text)) return undefined;
    if (pieces.length === 0) return text;
    const whole = Buffer.allocUnsafe(bytes + lengthOf(text));
    let at = 0;
    for (const piece of pieces) at += typeof piece === "string" ? whole.write(piece, at, encoding) : piece.copy(whole, at);
    whole.write(text, at, encoding);
    return whole;
  }
}

/** What is sent in the same turn of the event loop leaves in one write. A Cluster's commands go to several nodes: each by itself. */
export function createBatch(client: Redis | Cluster): { send(command: Command): Promise<unknown> } {
  let waiting: Command[] = [];

  function flush(): void {
    const commands = waiting;
    waiting = [];
    if (commands.length === 1) void client.sendCommand(commands[0] as Command);
    else void pipelined(client, commands).exec();
  }

  return {
    send(command) {
      if (client.isCluster) return client.sendCommand(command) as Promise<unknown>;
      waiting.push(command);
      // After all that the replies of one read have set going.
      if (waiting.length === 1) process.nextTick(flush);
      return command.promise;
    },
  };
}

export function pipelined(client: Redis | Cluster, commands: readonly Command[]): ReturnType<Redis["pipeline"]> {
  const pipeline = client.pipeline();
  // The client's own type leaves out what all of its pipelines have.
  for (const command of commands) (pipeline as unknown as { sendCommand(command: Command): unknown }).sendCommand(command);
  return pipeline;
}
