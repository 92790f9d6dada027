import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createRuntime, type Json, type Part, type ToolOutput } from "@aixgo/core";
import { InMemoryTransport } from "@modelcontextprotocol/sdk/inMemory.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import { createReActAgent, mergeTools, type Tool, type ToolContext } from "../src/index.ts";
import { createMcpTools, type McpTools, type McpToolsOptions } from "../src/mcp.ts";
import { createScriptedModel } from "../src/testing.ts";
import { createConversation } from "./harness.ts";
import { createServer } from "./support/mcp-server.mjs";

const SERVER = fileURLToPath(new URL("support/mcp-server.mjs", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "aixgo-mcp-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});
async function connect(options: McpToolsOptions): Promise<McpTools> {
  const tools = await createMcpTools(options);
  open.push(tools);
  return tools;
}
const stdio = (more: Partial<McpToolsOptions> = {}, ...args: string[]) =>
  connect({ command: process.execPath, args: [SERVER, ...args], ...more });

/** Lets an agent call one tool, and gives the result that was stored. */
async function use(tools: Readonly<Record<string, Tool>>, toolName: string, input: Json = {}, options: object = {}): Promise<ToolOutput> {
  const model = createScriptedModel([{ toolCalls: [{ toolName, input }] }, "done"]);
  const conversation = createConversation();
  await conversation.attempt(createReActAgent({ name: "a", model, tools, ...options }));
  expect(model.calls).toHaveLength(2);
  const [result] = conversation.stored[1]?.parts ?? [];
  return (result as Part & { type: "tool-result" }).output;
}
async function until(done: () => boolean): Promise<void> {
  await vi.waitUntil(done, { timeout: 20_000, interval: 5 });
  expect(done()).toBe(true);
}

describe("a server in a process", () => {
  it("gives its tools to an agent: names, descriptions, schemas, results", async () => {
    const { tools } = await stdio();
    expect(Object.keys(tools)).toEqual([
      "echo",
      "env",
      "picture",
      "structured",
      "fail",
      "huge",
      "pid",
      "die",
      "files_read",
      "wait",
      "grow",
    ]);
    expect(tools["echo"]).toMatchObject({
      description: "Says it again.",
      effect: "idempotent",
      jsonSchema: { type: "object", required: ["text"] },
    });
    expect(tools["env"]).toMatchObject({ effect: "once" });
    expect(await use(tools, "echo", { text: "hé" })).toEqual({ type: "text", value: "hé" });
    expect(await use(tools, "files_read")).toEqual({ type: "text", value: "read" });
    expect(await use(tools, "structured")).toEqual({ type: "json", value: { n: 5 } });
    const model = createScriptedModel(["hi"]);
    await createConversation().attempt(createReActAgent({ name: "a", model, tools }));
    expect(model.calls[0]?.tools?.find(({ name }) => name === "echo")).toMatchObject({
      type: "function",
      inputSchema: { properties: { text: { type: "string" } } },
    });
  });

  it("tells images, audio and resources as content", async () => {
    const { tools } = await stdio();
    expect(await use(tools, "picture")).toEqual({
      type: "content",
      value: [
        { type: "text", text: "Here:" },
        { type: "file", mediaType: "image/png", url: "data:image/png;base64,QUJD" },
        { type: "file", mediaType: "audio/wav", url: "data:audio/wav;base64,REVG" },
        { type: "text", text: "the notes" },
        { type: "file", mediaType: "application/x-data", url: "data:application/x-data;base64,R0hJ", filename: "data.bin" },
        { type: "text", text: "[resource more: https://example.test/more (text/html)]" },
      ],
    });
  });

  it("tells errors as errors, also of a wrong input, and cuts what is too long", async () => {
    const { tools } = await stdio();
    expect(await use(tools, "fail")).toEqual({ type: "error-text", value: "no such file" });
    expect(await use(tools, "echo", { text: 5 })).toMatchObject({ type: "error-text", value: expect.stringContaining("text") });
    expect(await use(tools, "huge", {}, { maxToolResultBytes: 100 })).toEqual({
      type: "text",
      value: `${"x".repeat(100)}\n[cut here: the result has 3000000 bytes, the limit is 100]`,
    });
  });

  it("is given arguments and variables; a prefix and allow choose names", async () => {
    const { tools } = await stdio({ env: { GREETING: "Hello" }, prefix: "t_", allow: ["env", "files.read"] }, "one", "two");
    expect(Object.keys(tools)).toEqual(["t_env", "t_files_read"]);
    expect(await use(tools, "t_env")).toEqual({ type: "text", value: "Hello one two" });
  });

  it("that dies in the middle of a call makes that call an error, and is started again by the next", async () => {
    const { tools } = await stdio();
    const first = await use(tools, "pid");
    const model = createScriptedModel([
      { toolCalls: [{ toolName: "die" }, { toolName: "fail" }] },
      { toolCalls: [{ toolName: "pid" }] },
      "still here",
    ]);
    const conversation = createConversation();
    const done = await conversation.attempt(createReActAgent({ name: "a", model, tools, maxParallelTools: 1 }));
    expect(done.answer.parts).toEqual([{ type: "text", text: "still here" }]);
    const outputs = conversation.stored
      .filter(({ role }) => role === "tool")
      .map(({ parts }) => (parts[0] as Part & { type: "tool-result" }).output);
    expect(outputs[0]).toEqual({
      type: "error-text",
      value: expect.stringMatching(/^The tool failed: the MCP server "node.*" ended during the call; its outcome is unknown/),
    });
    expect(outputs[1]).toEqual({ type: "error-text", value: "no such file" });
    expect(outputs[2]).toMatchObject({ type: "text", value: expect.stringMatching(/^\d+$/) });
    expect(outputs[2]).not.toEqual(first);
  });

  it("is told that a call is cancelled, by the agent's cancel and by the tool's deadline", async () => {
    const { tools } = await stdio({ timeoutMs: 60_000 });
    const log = join(folder, randomUUID());
    writeFileSync(log, "");
    const stop = new AbortController();
    const model = createScriptedModel([{ toolCalls: [{ toolName: "wait", input: { log } }] }]);
    const failed = createConversation().attempt(createReActAgent({ name: "a", model, tools }), { signal: stop.signal });
    const outcome = expect(failed).rejects.toMatchObject({ code: "CANCELLED" });
    await until(() => readFileSync(log, "utf8") === "began\n");
    stop.abort();
    await outcome;
    await until(() => readFileSync(log, "utf8") === "began\ncancelled\n");
    // The same server, with a deadline.
    writeFileSync(log, "");
    const wait = { ...tools["wait"], timeoutMs: 2_500 } as Tool;
    expect(await use({ wait }, "wait", { log })).toMatchObject({
      type: "error-text",
      value: expect.stringContaining("took longer than 2500 ms"),
    });
    await until(() => readFileSync(log, "utf8").endsWith("cancelled\n"));
    expect(await use(tools, "echo", { text: "alive" })).toEqual({ type: "text", value: "alive" });
  });

  it("that changes its tools: the next turn of an agent with tools as a function has them", async () => {
    let changed: readonly string[] = [];
    const mcp = await stdio({ onChange: (tools) => (changed = Object.keys(tools)) });
    const model = createScriptedModel([{ toolCalls: [{ toolName: "grow" }] }, "grown", { toolCalls: [{ toolName: "grown" }] }, "used"]);
    const agent = createReActAgent({ name: "a", model, tools: () => mcp.tools });
    const conversation = createConversation();
    await conversation.turn(agent, "grow");
    await until(() => changed.includes("grown"));
    await conversation.turn(agent, "use it");
    expect(model.calls[3]?.prompt.at(-1)?.content[0].output).toEqual({ type: "text", value: "new" });
  });

  it("ends with close, which may be called twice; calls after it say so", async () => {
    const mcp = await stdio();
    const { value } = (await use(mcp.tools, "pid")) as { value: string };
    await mcp.close();
    await mcp.close();
    await until(() => {
      try {
        process.kill(Number(value), 0);
        return false;
      } catch {
        return true;
      }
    });
    expect(await use(mcp.tools, "echo", { text: "x" })).toEqual({
      type: "error-text",
      value: expect.stringContaining("is closed: close() was called"),
    });
  });

  it("that cannot be started, or speaks no MCP, is MCP_UNAVAILABLE", async () => {
    await expect(createMcpTools({ command: "/no/such/place/server" })).rejects.toMatchObject({
      code: "MCP_UNAVAILABLE",
      message: expect.stringContaining('the MCP server "server" cannot be reached'),
    });
    await expect(createMcpTools({ command: process.execPath, args: ["-e", "process.exit(3)"] })).rejects.toMatchObject({
      code: "MCP_UNAVAILABLE",
    });
    const silent = createMcpTools({ command: process.execPath, args: ["-e", "setInterval(() => {}, 1000)"], connectTimeoutMs: 300 });
    await expect(silent).rejects.toMatchObject({ code: "MCP_UNAVAILABLE", retryable: true });
  });

  it("whose names clash, or that has not what is allowed, is refused with the names", async () => {
    await expect(stdio({}, "clash")).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringMatching(/the tools files\.read and files_read .* would both be named files_read/),
    });
    expect(Object.keys((await stdio({ allow: ["files_read"] }, "clash")).tools)).toEqual(["files_read"]);
    await expect(stdio({ allow: ["echo", "ecko"] })).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringMatching(/allow names ecko, .* it has echo, env/),
    });
    await expect(stdio({ prefix: "x".repeat(61), allow: ["echo"] })).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringContaining("more than 64 characters with its prefix"),
    });
  });
});

/** The same server over streamable HTTP, on loopback. */
async function startHttp(): Promise<{
  url: string;
  sessions: Map<string, StreamableHTTPServerTransport>;
  headers: (string | undefined)[];
}> {
  const sessions = new Map<string, StreamableHTTPServerTransport>();
  const headers: (string | undefined)[] = [];
  const http = createHttpServer((request, response) => {
    void (async () => {
      headers.push(request.headers.authorization);
      const id = request.headers["mcp-session-id"] as string | undefined;
      let transport = id === undefined ? undefined : sessions.get(id);
      if (id !== undefined && transport === undefined) return void response.writeHead(404).end();
      if (transport === undefined) {
        const made = new StreamableHTTPServerTransport({
          sessionIdGenerator: () => randomUUID(),
          onsessioninitialized: (given) => void sessions.set(given, made),
        });
        transport = made;
        await createServer().connect(made as Transport);
      }
      await transport.handleRequest(request, response);
    })().catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  open.push({
    close: async () => {
      for (const transport of sessions.values()) await transport.close();
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  });
  return { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`, sessions, headers };
}

describe("a server over streamable HTTP", () => {
  it("gives its tools, with the headers that were asked for", async () => {
    const server = await startHttp();
    const { tools } = await connect({ url: server.url, headers: { authorization: "Bearer t" } });
    expect(await use(tools, "echo", { text: "over http" })).toEqual({ type: "text", value: "over http" });
    expect(await use(tools, "fail")).toEqual({ type: "error-text", value: "no such file" });
    expect(new Set(server.headers)).toEqual(new Set(["Bearer t"]));
  });

  it("that has forgotten the session is connected to anew, and the call is made", async () => {
    const server = await startHttp();
    const { tools } = await connect({ url: server.url });
    await use(tools, "echo", { text: "x" });
    server.sessions.clear();
    expect(await use(tools, "echo", { text: "again" })).toEqual({ type: "text", value: "again" });
    expect(server.sessions.size).toBe(1);
  });

  it("that is gone makes the call an error; nobody there at first is MCP_UNAVAILABLE", async () => {
    const server = await startHttp();
    const { tools } = await connect({ url: server.url });
    await open.splice(-2, 1)[0]?.close();
    expect(await use(tools, "echo", { text: "x" })).toMatchObject({
      type: "error-text",
      value: expect.stringMatching(/its outcome is unknown|cannot be reached/),
    });
    await expect(createMcpTools({ url: server.url })).rejects.toMatchObject({ code: "MCP_UNAVAILABLE" });
  });

  it("is told that a call is cancelled", async () => {
    const { tools } = await connect({ url: (await startHttp()).url });
    const log = join(folder, randomUUID());
    const wait = { ...tools["wait"], timeoutMs: 2_500 } as Tool;
    expect(await use({ wait }, "wait", { log })).toMatchObject({ value: expect.stringContaining("took longer than 2500 ms") });
    await until(() => readFileSync(log, "utf8") === "began\ncancelled\n");
  });
});

describe("a transport of one's own", () => {
  it("as a function is opened again; as an object it is used once", async () => {
    const pair = async (): Promise<{ near: Transport; far: InMemoryTransport }> => {
      const [near, far] = InMemoryTransport.createLinkedPair();
      await createServer().connect(far);
      return { near, far };
    };
    let last: InMemoryTransport | undefined;
    const again = await connect({
      transport: async () => {
        const { near, far } = await pair();
        last = far;
        return near;
      },
    });
    await last?.close();
    expect(await use(again.tools, "echo", { text: "again" })).toEqual({ type: "text", value: "again" });
    const { near, far } = await pair();
    const once = await connect({ transport: near });
    expect(await use(once.tools, "echo", { text: "x" })).toEqual({ type: "text", value: "x" });
    await far.close();
    expect(await use(once.tools, "echo", { text: "x" })).toEqual({
      type: "error-text",
      value: expect.stringContaining("give transport as a function"),
    });
  });
});

/** A server that speaks JSON-RPC and answers `tools/list` and `tools/call` with whatever it is told to; undefined: not at all. */
function careless(answers: { readonly list?: unknown; readonly call?: unknown; readonly error?: unknown }): () => Transport {
  return () => {
    const [near, far] = InMemoryTransport.createLinkedPair();
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- a transport of the SDK has no other way
    far.onmessage = (message) => {
      if (!("id" in message) || !("method" in message)) return;
      const { id, method, params } = message;
      const told = { protocolVersion: params?.["protocolVersion"], capabilities: { tools: {} }, serverInfo: { name: "s", version: "1" } };
      const result = method === "initialize" ? told : method === "tools/list" ? answers.list : answers.call;
      if (method === "tools/list" && answers.error !== undefined)
        void far.send({ jsonrpc: "2.0", id, error: answers.error } as Parameters<typeof far.send>[0]);
      else if (result !== undefined) void far.send({ jsonrpc: "2.0", id, result } as Parameters<typeof far.send>[0]);
    };
    return near;
  };
}

describe("a server that does not keep to the protocol", () => {
  const input = { type: "object" };
  it.each([
    ["no input schema", { tools: [{ name: "t" }] }, /gave a list of tools that MCP does not allow: tools\.0\.inputSchema: /],
    ["an input that is no object", { tools: [{ name: "t", inputSchema: { type: "string" } }] }, /tools\.0\.inputSchema\.type: /],
    ["no list", { tools: "t" }, /does not allow: tools: /],
  ])("and lists a tool with %s is MCP_UNAVAILABLE, and not to be asked again", async (_, list, words) => {
    await expect(createMcpTools({ transport: careless({ list }) })).rejects.toMatchObject({
      code: "MCP_UNAVAILABLE",
      retryable: false,
      message: expect.stringMatching(words) as string,
    });
  });

  it("and lists a tool without a name is refused", async () => {
    const transport = careless({ list: { tools: [{ name: "", inputSchema: input }] } });
    await expect(createMcpTools({ transport, prefix: "p_" })).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringContaining("a tool without a name") as string,
    });
  });

  it("and refuses to list its tools, or never does, is MCP_UNAVAILABLE", async () => {
    const refuses = createMcpTools({ transport: careless({ error: { code: -32601, message: "not today" } }) });
    await expect(refuses).rejects.toMatchObject({
      code: "MCP_UNAVAILABLE",
      message: expect.stringMatching(/did not list its tools: .*not today/) as string,
    });
    await expect(createMcpTools({ transport: careless({}), connectTimeoutMs: 200 })).rejects.toMatchObject({
      code: "MCP_UNAVAILABLE",
      retryable: true,
    });
  });

  it("and gives a result that is none: the model is told that the call was answered, and what is wrong", async () => {
    const list = { tools: [{ name: "t", inputSchema: input }] };
    const { tools } = await connect({ transport: careless({ list, call: { content: "done" } }) });
    expect(await use(tools, "t")).toEqual({
      type: "error-text",
      value: expect.stringMatching(/has answered the call, but with what MCP does not allow: content: [^{[]*$/) as string,
    });
  });
});

describe("options", () => {
  it.each([
    [{}, "exactly one of command, url and transport"],
    [{ command: "x", url: "http://x.test" }, "exactly one of"],
    [{ url: "ftp://x.test" }, "url must be an http: or https: address"],
    [{ command: "x", headers: {} }, "headers is only for url"],
    [{ url: "http://x.test", args: [] }, "args is only for command"],
    [{ command: "x", timeoutMs: 0 }, "timeoutMs"],
    [{ command: "x", connectTimeoutMs: Infinity }, "connectTimeoutMs must not be Infinity"],
    [{ command: "x", env: { A: 5 } }, "env must be an object of texts"],
    [{ command: "x", allowed: [] }, "unknown option allowed"],
    [{ command: "x", stderr: "pipe" }, "stderr must be one of inherit, ignore"],
    [{ transport: "stdio" }, "transport must be an object"],
  ])("refuses %j", async (options, words) => {
    await expect(createMcpTools(options as never)).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringContaining(words),
    });
  });

  it("mergeTools refuses what is no record of tools", () => {
    for (const given of [undefined, null, [], "tools"])
      expect(() => mergeTools({}, given as never)).toThrow(/mergeTools: argument 2 is no record of tools/);
  });

  it("mergeTools refuses a name that is there twice, and the merged tools work together", async () => {
    const a = await stdio({ prefix: "a_", allow: ["echo"] });
    const b = await stdio({ prefix: "b_", allow: ["echo"] });
    const tools = mergeTools(a.tools, b.tools);
    expect(Object.keys(tools)).toEqual(["a_echo", "b_echo"]);
    expect(await use(tools, "b_echo", { text: "b" })).toEqual({ type: "text", value: "b" });
    expect(() => mergeTools(a.tools, a.tools)).toThrowError(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining("two tools are named a_echo") }),
    );
  });

  it("tools as a function that are a promise fail the turn, rather than being none", async () => {
    const agent = createReActAgent({ name: "a", model: createScriptedModel(["x"]), tools: (async () => ({})) as never });
    await expect(createConversation().attempt(agent)).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringContaining("not a promise"),
    });
  });

  it("tools as a function that are wrong fail the turn and name the tool", async () => {
    await using runtime = createRuntime().register(
      createReActAgent({ name: "a", model: createScriptedModel(["x"]), tools: () => ({ "bad name": {} as never }) }),
    );
    await runtime.start();
    await expect(runtime.call("a", "hi")).rejects.toMatchObject({ code: "INVALID_OPTION", message: expect.stringContaining('"bad name"') });
  });

  it("a tool works outside an agent, too", async () => {
    const { tools } = await stdio({ allow: ["echo"] });
    const signal = new AbortController().signal;
    expect(await tools["echo"]?.execute({ text: "x" }, { signal } as ToolContext)).toMatchObject({
      content: [{ type: "text", text: "x" }],
    });
  });
});
