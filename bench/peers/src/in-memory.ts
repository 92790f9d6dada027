import { createEvent, InMemorySessionService } from "@google/adk";
import { MemorySession } from "@openai/agents-core";
import type { Contender, Store } from "#contender";

export const openAiMemory: Contender = {
  name: "OpenAI Agents, MemorySession",
  role: "peer",
  survives: "nothing",
  open: async (_, text) => openAi(text),
};

export const adkInMemory: Contender = {
  name: "Google ADK, in memory",
  role: "peer",
  survives: "nothing",
  open: async (_, text) => adk(text),
};

function openAi(text: string): Store {
  return {
    async filled(messages) {
      const session = new MemorySession();
      const item = () => ({ role: "user" as const, content: text });
      await session.addItems(Array.from({ length: messages }, item));
      return { append: () => session.addItems([item()]), load: async () => (await session.getItems()).length };
    },
    async close() {},
  };
}

const ADK = { appName: "a", userId: "user" };

function adk(text: string): Store {
  const service = new InMemorySessionService();
  const event = () => createEvent({ author: "user", content: { role: "user", parts: [{ text }] } });
  return {
    async filled(messages) {
      const session = await service.createSession(ADK);
      for (let left = messages; left > 0; left -= 1) await service.appendEvent({ session, event: event() });
      const load = async (): Promise<number> => (await service.getSession({ ...ADK, sessionId: session.id }))?.events.length ?? 0;
      return { append: () => service.appendEvent({ session, event: event() }), load };
    },
    async populate(conversations) {
      for (let left = conversations; left > 0; left -= 1) {
        const session = await service.createSession(ADK);
        await service.appendEvent({ session, event: event() });
      }
    },
    list: async (limit) => (await service.listSessions({ ...ADK, limit, order: "desc" })).sessions.length,
    async close() {},
  };
}
