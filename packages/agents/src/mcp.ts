import { basename } from "node:path";
import { type Json, type Logger, silentLogger } from "@aixgo/core";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import type { Tool as McpTool } from "@modelcontextprotocol/sdk/types.js";
import { toJson, isRecord } from "./json.ts";
import { createMcpConnection, type McpConnection } from "./mcp-connection.ts";
import { mcpOutput } from "./mcp-result.ts";
import { callable, check, type Check, type Checks, duration, invalid, methods, oneOf, record, texts, words } from "./option-check.ts";
import type { StandardInput, Tool } from "./tool.ts";
import { wordsOf } from "./tool-result.ts";

export interface McpToolsOptions {
  /** A server that is started as a process and spoken to over its standard input and output. One of `command`, `url`, `transport`. */
  readonly command?: string;
  readonly args?: readonly string[];
  /** Beside a few variables that are safe to inherit (PATH, HOME, …). */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Where the process's standard error goes. @default "inherit" */
  readonly stderr?: "inherit" | "ignore";
  /** A server over streamable HTTP. */
  readonly url?: string | URL;
  /** Sent with each request. Never logged. */
  readonly headers?: Readonly<Record<string, string>>;
  /** A transport of the SDK; as a function it is opened again after the server has ended. */
  readonly transport?: Transport | (() => Transport | Promise<Transport>);
  /** Put before each name: `fs_` makes `fs_read` of `read`. @default none */
  readonly prefix?: string;
  /** Names of the server's tools that may be used, as the server names them. @default all */
  readonly allow?: readonly string[];
  /** Longest time of one call in milliseconds, `Infinity` for none; then the server is told that it is cancelled. @default 60000 */
  readonly timeoutMs?: number;
  /** Longest time for connecting and listing. @default 30000 */
  readonly connectTimeoutMs?: number;
  /** Called when the server's tools have changed, with the new ones. */
  readonly onChange?: (tools: Readonly<Record<string, Tool>>) => void;
  /** @default silent */
  readonly logger?: Logger;
}

export interface McpTools extends AsyncDisposable {
  /** By prefixed name: `createReActAgent({ tools: mcp.tools })`. The newest ones, if the server changes them: `tools: () => mcp.tools`. */
  readonly tools: Readonly<Record<string, Tool>>;
  /** Ends the connection and the process. Calls that run fail. Idempotent. */
  close(): Promise<void>;
}

const address: Check = (value) =>
  (typeof value === "string" || value instanceof URL) && URL.canParse(String(value)) && /^https?:$/.test(new URL(value).protocol)
    ? undefined
    : "must be an http: or https: address";
const bounded: Check = (value) => (value === Infinity ? "must not be Infinity" : duration(value));
const strings: Check = (value) =>
  isRecord(value) && Object.values(value).every((each) => typeof each === "string") ? undefined : "must be an object of texts";

const CHECKS: Checks<McpToolsOptions> = {
  command: words,
  args: texts,
  env: strings,
  cwd: words,
  stderr: oneOf("inherit", "ignore"),
  url: address,
  headers: strings,
  transport: (value) => (typeof value === "function" ? undefined : record(value)),
  prefix: words,
  allow: texts,
  timeoutMs: duration,
  connectTimeoutMs: bounded,
  onChange: callable,
  logger: methods("debug", "info", "warn", "error"),
};

/** Only with their server: options that another kind of server has no use for are mistakes. */
const KINDS = { command: ["args", "env", "cwd", "stderr"], url: ["headers"], transport: [] } as const;

/**
 * The tools of an MCP server, for `createReActAgent`. Connects and lists them.
 *
 * What the server answers is told to the model: texts, images, audio, resources; an error as an error, and the turn goes on. A cancel
 * and a deadline reach the server. A server that ends in the middle of a call makes that call an error; the next call starts it
 * again. Tools that the server does not call read-only or idempotent are `once`.
 *
 * @throws AixgoError `INVALID_OPTION` naming the option, or the names that clash; `MCP_UNAVAILABLE` if the server cannot be
 * reached, or lists its tools in a way that MCP does not allow; `LIMIT_EXCEEDED` for more than 1000 tools
 */
export async function createMcpTools(options: McpToolsOptions): Promise<McpTools> {
  check("createMcpTools", "", CHECKS, options, []);
  const { prefix = "", allow, timeoutMs = 60_000, connectTimeoutMs = 30_000, onChange, logger = silentLogger } = options;
  const { label, open, reopens } = server(options);
  let current: Readonly<Record<string, Tool>> = {};
  let refreshing: Promise<void> | undefined;
  let stale = false;

  const build = (listed: readonly McpTool[]): Readonly<Record<string, Tool>> =>
    toolsOf(
      listed.filter(({ name }) => allow === undefined || allow.includes(name)),
      { label, prefix, timeoutMs, connection },
    );
  const refresh = async (): Promise<void> => {
    while (stale) {
      stale = false;
      try {
        current = build(await connection.list());
        onChange?.(current);
      } catch (error) {
        logger.warn(
          { server: label, error: wordsOf(error) },
          "the tools of an MCP server have changed, but cannot be read; the old ones stay",
        );
      }
    }
  };
  const connection = createMcpConnection({
    label,
    open,
    reopens,
    connectTimeoutMs,
    onChanged() {
      stale = true;
      refreshing ??= refresh().finally(() => (refreshing = undefined));
    },
  });

  try {
    const listed = await connection.list();
    const names = new Set(listed.map(({ name }) => name));
    const missing = allow?.filter((name) => !names.has(name)) ?? [];
    if (missing.length > 0)
      throw invalid("createMcpTools", `allow names ${missing.join(", ")}, which ${label} does not have; it has ${[...names].join(", ")}`);
    current = build(listed);
  } catch (error) {
    await connection.close();
    throw error;
  }
  return {
    get tools() {
      return current;
    },
    close: () => connection.close(),
    [Symbol.asyncDispose]: () => connection.close(),
  };
}

function server(options: McpToolsOptions): {
  readonly label: string;
  readonly open: () => Transport | Promise<Transport>;
  readonly reopens: boolean;
} {
  const kinds = (["command", "url", "transport"] as const).filter((kind) => options[kind] !== undefined);
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1) throw invalid("createMcpTools", "give exactly one of command, url and transport");
  for (const [of, members] of Object.entries(KINDS))
    for (const member of members)
      if (of !== kind && options[member] !== undefined) throw invalid("createMcpTools", `${member} is only for ${of}`);
  const { command, args = [], env, cwd, stderr = "inherit", url, headers, transport } = options;
  if (command !== undefined) {
    const process = {
      command,
      args: [...args],
      stderr,
      ...(env === undefined ? {} : { env: { ...env } }),
      ...(cwd === undefined ? {} : { cwd }),
    };
    return { label: `the MCP server "${basename(command)}"`, open: () => new StdioClientTransport(process), reopens: true };
  }
  if (url !== undefined) {
    const address = new URL(url);
    const requestInit = headers === undefined ? {} : { requestInit: { headers: { ...headers } } };
    return {
      label: `the MCP server at ${address.host}`,
      open: () => new StreamableHTTPClientTransport(address, requestInit),
      reopens: true,
    };
  }
  const label = "the MCP server";
  return typeof transport === "function"
    ? { label, open: transport, reopens: true }
    : { label, open: () => transport as Transport, reopens: false };
}

interface Making {
  readonly label: string;
  readonly prefix: string;
  readonly timeoutMs: number;
  readonly connection: McpConnection;
}

/** The server checks its input itself: it knows more of it than its schema says. */
const ANY_OBJECT: StandardInput<{ readonly [key: string]: unknown }> = {
  "~standard": { version: 1, vendor: "mcp", validate: (value: unknown) => ({ value }) },
};

function toolsOf(listed: readonly McpTool[], { label, prefix, timeoutMs, connection }: Making): Readonly<Record<string, Tool>> {
  const made = new Map<string, { readonly name: string; readonly tool: Tool }>();
  for (const { name, description, inputSchema, annotations } of listed) {
    // Servers use dots and slashes, which model providers refuse.
    const shown = `${prefix}${name}`.replaceAll(/[^a-zA-Z0-9_-]/g, "_");
    if (name === "") throw invalid("createMcpTools", `${label} has a tool without a name; leave it out with allow`);
    if (shown.length > 64)
      throw invalid(
        "createMcpTools",
        `the tool ${name} of ${label} has a name of more than 64 characters${prefix === "" ? "" : " with its prefix"}; leave it out with allow`,
      );
    const twin = made.get(shown);
    if (twin !== undefined)
      throw invalid(
        "createMcpTools",
        `the tools ${twin.name} and ${name} of ${label} would both be named ${shown}; leave one out with allow`,
      );
    const tool: Tool<{ readonly [key: string]: unknown }> = {
      ...(description === undefined ? {} : { description }),
      inputSchema: ANY_OBJECT,
      jsonSchema: toJson(inputSchema),
      effect: annotations?.readOnlyHint === true || annotations?.idempotentHint === true ? "idempotent" : "once",
      timeoutMs,
      execute: async (input, { signal }) => (await connection.call(name, input, signal)) as Json,
      toOutput: mcpOutput,
    };
    made.set(shown, { name, tool });
  }
  return Object.freeze(Object.fromEntries([...made].map(([shown, { tool }]) => [shown, tool])));
}
