import { createReActAgent, type LanguageModel, tool } from "@aixgo/agents";
import { createRuntime, withSessionManager } from "@aixgo/core";
import { createSessionManager } from "@aixgo/session";
import { createFileBackend } from "@aixgo/session-file";
import { serve } from "@hono/node-server";
import { z } from "zod";
import { createChatRoutes } from "./chat-routes.ts";
import { notes } from "./notes.ts";

export interface ServerOptions {
  /** Where the chats are kept. */
  readonly baseDir: string;
  readonly model: LanguageModel;
  /** 0: any that is free. */
  readonly port: number;
}

export interface Server {
  readonly url: string;
  /** Running turns are stopped and recorded as such. */
  close(): Promise<void>;
}

export async function startServer({ baseDir, model, port }: ServerOptions): Promise<Server> {
  const sessions = createSessionManager({ backend: createFileBackend({ baseDir }) });
  const runtime = createRuntime(withSessionManager(sessions));
  const add = tool({
    description: "Adds two numbers.",
    inputSchema: z.object({ a: z.number(), b: z.number() }),
    execute: ({ a, b }) => a + b,
  });
  // One tool at a time: the notes are read and written as a whole.
  runtime.register(createReActAgent({ name: "assistant", model, tools: { add, ...notes }, maxParallelTools: 1 }));
  await runtime.start();
  // An example of a user. A header that anybody can set is no authentication.
  const routes = createChatRoutes({ runtime, sessions, agent: "assistant", user: (context) => context.req.header("x-user") });

  const server = serve({ fetch: routes.fetch, hostname: "127.0.0.1", port });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.once("listening", resolve);
    });
  } catch (error) {
    await runtime.stop();
    await sessions.close();
    throw error;
  }
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : port}`,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await runtime.stop();
      if ("closeAllConnections" in server) server.closeAllConnections();
      await closed;
      await sessions.close();
    },
  };
}
