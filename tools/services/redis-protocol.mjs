import { connect } from "node:net";

export const HOST = "127.0.0.1";
const REPLY_MS = 5_000;

/** One command on a connection of its own, without a client library. @param {number} port @param {readonly string[]} command @returns {Promise<string>} */
export function ask(port, command, host = HOST) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, host);
    let text = "";
    socket.setTimeout(REPLY_MS, () =>
      socket.destroy(new Error(`redis-server on port ${port} did not answer ${command[0]} within ${REPLY_MS} ms`)),
    );
    socket.on("error", reject);
    socket.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
      const reply = parse(text, 0);
      if (reply === undefined) return;
      socket.destroy();
      if (reply.value instanceof Error) reject(reply.value);
      else resolve(reply.value);
    });
    socket.on("close", () => reject(new Error(`redis-server on port ${port} closed the connection`)));
    socket.write(`*${command.length}\r\n${command.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`).join("")}`);
  });
}

/**
 * One reply of the protocol, lists as lines; undefined if it is not whole yet. Texts are ASCII here.
 * @param {string} text @param {number} at @returns {{ value: string | Error, end: number } | undefined}
 */
function parse(text, at) {
  const eol = text.indexOf("\r\n", at);
  if (eol < 0) return undefined;
  const head = text.slice(at + 1, eol);
  const end = eol + 2;
  switch (text[at]) {
    case "-":
      return { value: new Error(head), end };
    case "$": {
      const length = Number(head);
      if (length < 0) return { value: "", end };
      return text.length < end + length + 2 ? undefined : { value: text.slice(end, end + length), end: end + length + 2 };
    }
    case "*": {
      const parts = [];
      let next = end;
      for (let i = 0; i < Number(head); i++) {
        const part = parse(text, next);
        if (part === undefined) return undefined;
        parts.push(String(part.value));
        next = part.end;
      }
      return { value: parts.join("\n"), end: next };
    }
    default:
      return { value: head, end };
  }
}
