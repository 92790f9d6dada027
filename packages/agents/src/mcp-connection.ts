import { AixgoError } from "@aixgo/core";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import {
  type CallToolResult,
  CallToolResultSchema,
  ErrorCode,
  McpError,
  type Tool as McpTool,
  ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { MAX_TIMER_MS, within } from "./deadline.ts";
import { cutText } from "./json.ts";
import { readValidation, wordsOf } from "./tool-result.ts";

export interface McpConnectionOptions {
  /** How errors name the server. */
  readonly label: string;
  /** A transport that is not opened yet. */
  readonly open: () => Transport | Promise<Transport>;
  /** Whether `open` may be called again. */
  readonly reopens: boolean;
  readonly connectTimeoutMs: number;
  /** The server's tools may be others than before. */
  readonly onChanged: () => void;
}

/** A client that connects when it is needed, and anew after its server has ended. */
export interface McpConnection {
  /** @throws AixgoError `MCP_UNAVAILABLE`, also for a list that the protocol does not allow; `LIMIT_EXCEEDED` */
  list(): Promise<readonly McpTool[]>;
  /** @throws Error in words for the model; `CANCELLED` by the signal, which the server is told */
  call(name: string, input: { readonly [key: string]: unknown }, signal: AbortSignal): Promise<CallToolResult>;
  close(): Promise<void>;
}

/** Of the tools of one server. */
const MAX_TOOLS = 1_000;
const MAX_PAGES = 100;
/** Of a server's own words in an error. */
const MAX_WORDS = 500;

export function createMcpConnection(options: McpConnectionOptions): McpConnection {
  const { label, reopens } = options;
  let current: Promise<Client> | undefined;
  let opened = 0;
  let closed = false;

  async function connect(): Promise<Client> {
    if (opened > 0 && !reopens)
      throw unavailable(`${label} has ended, and its transport cannot be opened again; give transport as a function that opens one`);
    opened += 1;
    const again = opened > 1;
    const client = new Client({ name: "aixgo", version: "1" });
    const connecting = (async () => {
      const transport = await options.open();
      await client.connect(transport, { timeout: options.connectTimeoutMs });
    })();
    const late = (): Error => unavailable(`${label} did not answer within connectTimeoutMs (${options.connectTimeoutMs})`);
    try {
      await within(connecting, { signal: new AbortController().signal, ms: options.connectTimeoutMs, late, what: label });
    } catch (error) {
      await client.close().catch(() => {});
      throw error instanceof AixgoError ? error : unavailable(`${label} cannot be reached: ${words(error)}`, error);
    }
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => options.onChanged());
    if (again) options.onChanged();
    return client;
  }

  function client(): Promise<Client> {
    if (closed) return Promise.reject(unavailable(`${label} is closed: close() was called`));
    if (current !== undefined) return current;
    const connecting = connect();
    current = connecting;
    connecting.then(
      (made) => {
        if (closed) void made.close().catch(() => {});
        // oxlint-disable-next-line unicorn/prefer-add-event-listener -- a client of the SDK has no other way
        else made.onclose = () => forget(connecting);
      },
      () => forget(connecting),
    );
    return connecting;
  }

  function forget(connecting: Promise<Client>): void {
    if (current === connecting) current = undefined;
  }

  async function request<T>(work: (client: Client) => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries += 1) {
      const connecting = client();
      const connected = await connecting;
      try {
        return await work(connected);
      } catch (error) {
        // A server over HTTP that does not know the session any more has done nothing: the request may be made again (MCP, session management).
        const lost = isLostSession(error);
        if (lost || !(error instanceof McpError || isBadAnswer(error))) {
          forget(connecting);
          void connected.close().catch(() => {});
        }
        if (!lost || !reopens || tries > 0) throw error;
      }
    }
  }

  async function listTools(connected: Client): Promise<readonly McpTool[]> {
    const tools: McpTool[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const found = await connected.listTools(cursor === undefined ? {} : { cursor }, { timeout: options.connectTimeoutMs });
      tools.push(...found.tools);
      cursor = found.nextCursor;
      if (cursor === undefined) return tools;
      if (tools.length > MAX_TOOLS) break;
    }
    throw new AixgoError("LIMIT_EXCEEDED", `${label} has more than ${MAX_TOOLS} tools, or more than ${MAX_PAGES} pages of them`);
  }

  return {
    async list() {
      try {
        return await request(listTools);
      } catch (error) {
        if (error instanceof AixgoError) throw error;
        const problem = isBadAnswer(error) ? `a list of tools that MCP does not allow: ${issuesOf(error)}` : words(error);
        const retryable = !isBadAnswer(error);
        throw unavailable(`${label} ${isBadAnswer(error) ? "gave" : "did not list its tools:"} ${problem}`, error, retryable);
      }
    },
    async call(name, input, signal) {
      try {
        // The tool's own deadline aborts the signal; the client's must not come before it.
        const limits = { signal, timeout: MAX_TIMER_MS };
        return await request((connected) =>
          connected.request({ method: "tools/call", params: { name, arguments: { ...input } } }, CallToolResultSchema, limits),
        );
      } catch (error) {
        if (signal.aborted || error instanceof AixgoError) throw error;
        const ended = error instanceof McpError && error.code === (ErrorCode.ConnectionClosed as number);
        if (closed) throw unavailable(`${label} was closed during the call; its outcome is unknown`, error);
        if (ended) throw unavailable(`${label} ended during the call; its outcome is unknown. The next call starts it again`, error);
        if (error instanceof McpError) throw new Error(`${label} refused the call: ${words(error)}`, { cause: error });
        if (isBadAnswer(error))
          throw new Error(`${label} has answered the call, but with what MCP does not allow: ${issuesOf(error)}`, { cause: error });
        throw unavailable(`the connection to ${label} failed during the call; its outcome is unknown: ${words(error)}`, error);
      }
    },
    async close() {
      if (closed) return;
      const last = current;
      closed = true;
      current = undefined;
      await last?.then(
        (connected) => connected.close(),
        () => {},
      );
    },
  };
}

/** An answer of the wrong shape: the connection is sound, and other calls may be under way. */
function isBadAnswer(error: unknown): error is Error & { readonly issues: unknown } {
  return error instanceof Error && "issues" in error;
}

/** What the SDK's schemas found: its own words are lines of JSON. */
function issuesOf({ issues }: { readonly issues: unknown }): string {
  const read = readValidation({ issues });
  return "problem" in read ? cutText(read.problem, MAX_WORDS) : "it does not say why";
}

function isLostSession(error: unknown): boolean {
  return error instanceof Error && (error as { readonly code?: unknown }).code === 404;
}

function words(error: unknown): string {
  return cutText(wordsOf(error), MAX_WORDS);
}

function unavailable(problem: string, cause?: unknown, retryable: boolean = true): AixgoError {
  return new AixgoError("MCP_UNAVAILABLE", problem, { retryable, ...(cause === undefined ? {} : { cause }) });
}
