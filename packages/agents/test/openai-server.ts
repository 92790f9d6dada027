import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** The body of a chat-completions request, as far as tests look at it. */
export interface ChatRequest {
  readonly model: string;
  readonly stream: boolean;
  readonly messages: readonly {
    readonly role: string;
    readonly content: unknown;
    readonly tool_calls?: readonly { readonly function: { readonly name: string; readonly arguments: string } }[];
    readonly tool_call_id?: string;
    readonly reasoning_content?: string;
  }[];
  readonly tools?: readonly { readonly type: string; readonly function: { readonly name: string; readonly parameters: unknown } }[];
  readonly tool_choice?: unknown;
  readonly temperature?: number;
}

export type Respond = (response: ServerResponse, request: ChatRequest, incoming: IncomingMessage) => void | Promise<void>;

export interface ChatServer {
  readonly baseURL: string;
  readonly requests: ChatRequest[];
  /** Answers to the next requests, in order. */
  readonly script: Respond[];
  close(): Promise<void>;
}

/** A server on loopback that speaks the streaming chat-completions protocol. */
export async function startChatServer(): Promise<ChatServer> {
  const requests: ChatRequest[] = [];
  const script: Respond[] = [];
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => {
      const request = JSON.parse(Buffer.concat(chunks).toString()) as ChatRequest;
      requests.push(request);
      const respond = script.shift();
      if (respond === undefined) response.writeHead(418).end();
      else void Promise.resolve(respond(response, request, incoming)).catch(() => response.destroy());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    baseURL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests,
    script,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export function openStream(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream" });
}

export function sendEvent(response: ServerResponse, delta: object, more: object = {}): void {
  const { usage, ...choice } = more as { usage?: object };
  response.write(
    `data: ${JSON.stringify({ id: "c1", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta, ...choice }], ...(usage === undefined ? {} : { usage }) })}\n\n`,
  );
}

/** A whole answer: deltas, the reason, the usage, the end mark. */
export function answer(
  deltas: readonly object[],
  reason: string,
  usage = { prompt_tokens: 10, completion_tokens: 2, total_tokens: 12 },
): Respond {
  return (response) => {
    openStream(response);
    for (const delta of deltas) sendEvent(response, delta);
    sendEvent(response, {}, { finish_reason: reason, usage });
    response.end("data: [DONE]\n\n");
  };
}

export function callDelta(index: number, id: string, name: string, input: string): object {
  return { tool_calls: [{ index, id, type: "function", function: { name, arguments: input } }] };
}
