import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport, lastAssistantMessageIsCompleteWithApprovalResponses, type UIMessage } from "ai";
import { Window } from "happy-dom";
import { createElement } from "react";
import { createRoot } from "react-dom/client";

type Chat = ReturnType<typeof useChat>;

/** One tab of a browser with one chat in it: React, the real `useChat`, and what a client of these routes is made of. */
export interface Page {
  /** What a person sees. */
  text(): string;
  readonly chat: Chat;
  /** Requests that the page has made: method, path, body. */
  readonly requests: readonly { readonly method: string; readonly path: string; readonly body: unknown }[];
  /** `stop()` of `useChat` only leaves the answer; this stops it. */
  stop(): Promise<void>;
  /** Closes the tab. */
  close(): void;
}

const window = new Window();
Object.assign(globalThis, { window, document: window.document });

export async function openPage(url: string, id: string, user: string): Promise<Page> {
  const requests: Page["requests"][number][] = [];
  const leave = new AbortController();
  const fetchAs: typeof fetch = (input, init) => {
    const target = new URL(input instanceof Request ? input.url : String(input));
    requests.push({
      method: init?.method ?? "GET",
      path: target.pathname,
      body: typeof init?.body === "string" ? (JSON.parse(init.body) as unknown) : undefined,
    });
    const signals = [leave.signal, init?.signal].filter((signal) => signal instanceof AbortSignal);
    return fetch(input, {
      ...init,
      headers: { ...Object.fromEntries(new Headers(init?.headers)), "x-user": user },
      signal: AbortSignal.any(signals),
    });
  };
  const history = (await (await fetchAs(`${url}/chat/${id}`)).json()) as UIMessage[];

  const transport = new DefaultChatTransport({
    api: `${url}/chat`,
    fetch: fetchAs,
    // The server has all the others.
    prepareSendMessagesRequest: ({ id: chatId, messages, trigger, body }) => ({
      body: { id: chatId, message: messages.at(-1), trigger, ...body },
    }),
  });
  let chat: Chat | undefined;
  function View() {
    chat = useChat({
      id,
      messages: history,
      transport,
      resume: true,
      sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
      onError: () => undefined,
    });
    return createElement("pre", null, chat.messages.map(lineOf).join("\n"));
  }
  const element = window.document.createElement("div");
  const root = createRoot(element as unknown as Element);
  root.render(createElement(View));
  await until(() => chat !== undefined);
  return {
    text: () => element.textContent,
    get chat() {
      return chat as Chat;
    },
    requests,
    async stop() {
      await fetchAs(`${url}/chat/${id}/stream`, { method: "DELETE" });
    },
    close() {
      leave.abort();
      root.unmount();
    },
  };
}

function lineOf({ role, parts }: UIMessage): string {
  const shown = parts.flatMap((part): readonly string[] => {
    if (part.type === "text") return [part.text];
    if (part.type === "dynamic-tool") return [`[${part.toolName} ${part.state}]`];
    return part.type.startsWith("tool-") && "state" in part ? [`[${part.type.slice(5)} ${String(part.state)}]`] : [];
  });
  return `${role}: ${shown.join(" ")}`;
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries += 1) {
    if (tries > 1_000) throw new Error("the page was not rendered");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
