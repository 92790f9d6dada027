import { appendFileSync } from "node:fs";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { z } from "zod";

/** A server with a tool for each thing that can happen. @returns {McpServer} */
export function createServer() {
  const server = new McpServer({ name: "test", version: "1" });
  const text = (/** @type {string} */ value) => ({ content: [{ type: /** @type {const} */ ("text"), text: value }] });
  server.registerTool(
    "echo",
    { description: "Says it again.", inputSchema: { text: z.string() }, annotations: { readOnlyHint: true } },
    async ({ text: said }) => text(said),
  );
  server.registerTool("env", { inputSchema: {} }, async () => text(`${process.env["GREETING"]} ${process.argv.slice(2).join(" ")}`));
  server.registerTool("picture", { inputSchema: {} }, async () => ({
    content: [
      { type: "text", text: "Here:" },
      { type: "image", data: "QUJD", mimeType: "image/png" },
      { type: "audio", data: "REVG", mimeType: "audio/wav" },
      { type: "resource", resource: { uri: "file:///a/notes.txt", text: "the notes" } },
      { type: "resource", resource: { uri: "file:///a/data.bin", blob: "R0hJ", mimeType: "application/x-data" } },
      { type: "resource_link", name: "more", uri: "https://example.test/more", mimeType: "text/html" },
    ],
  }));
  server.registerTool("structured", { inputSchema: {}, outputSchema: { n: z.number() } }, async () => ({
    content: [],
    structuredContent: { n: 5 },
  }));
  server.registerTool("fail", { inputSchema: {} }, async () => ({ ...text("no such file"), isError: true }));
  server.registerTool("huge", { inputSchema: {} }, async () => text("x".repeat(3_000_000)));
  server.registerTool("pid", { inputSchema: {} }, async () => text(String(process.pid)));
  server.registerTool("die", { inputSchema: {} }, async () => process.exit(1));
  server.registerTool("files.read", { inputSchema: {} }, async () => text("read"));
  server.registerTool("wait", { inputSchema: { log: z.string() } }, ({ log }, { signal }) => {
    appendFileSync(log, "began\n");
    return new Promise((resolve) => signal.addEventListener("abort", () => (appendFileSync(log, "cancelled\n"), resolve(text("")))));
  });
  server.registerTool("grow", { inputSchema: {} }, async () => {
    server.registerTool("grown", { inputSchema: {} }, async () => text("new"));
    return text("ok");
  });
  if (process.argv.includes("clash")) server.registerTool("files_read", { inputSchema: {} }, async () => text(""));
  return server;
}

if (process.argv[1] === import.meta.filename) await createServer().connect(new StdioServerTransport());
