import { createScriptedModel } from "@aixgo/agents/testing";
import { describe, expect, it } from "vitest";
import type { Server } from "../src/server.ts";
import { chats, settled, shows } from "./chats.ts";
import type { Page } from "./page.ts";

const { servers, start, stop, open, close, stored } = chats();

interface ToolPart {
  readonly type: string;
  readonly state: string;
  readonly input: { readonly text: string };
  readonly approval?: { readonly id: string; readonly approved?: boolean; readonly reason?: string };
}
const toolsOf = (page: Page): readonly ToolPart[] =>
  page.chat.messages.flatMap(({ parts }) => parts.filter(({ type }) => type.startsWith("tool-"))) as never;
const askedBy = (page: Page): readonly string[] =>
  toolsOf(page).flatMap(({ state, approval }) => (state === "approval-requested" ? [approval?.id as string] : []));
const posts = (page: Page): readonly unknown[] => page.requests.flatMap(({ method, body }) => (method === "POST" ? [body] : []));

/** The notes that the tools have written, in order. */
const states = (): Promise<unknown[]> =>
  stored(async (session) => {
    const all: unknown[] = [];
    for await (const entry of session.entries()) if (entry.type === "state") all.push(entry.data);
    return all;
  });

const NOTED = "user: note milk and eggs\nassistant: [note output-available] [note output-available] Noted: milk. Noted: eggs.\n";
/** A page on which the removal of these notes waits. */
async function waiting(server: Server, removes: string): Promise<Page> {
  const page = await open(server);
  await page.chat.sendMessage({ text: "note milk and eggs" });
  await settled(page);
  await page.chat.sendMessage({ text: `remove ${removes}` });
  const count = removes.split(" and ").length;
  await shows(page, `${NOTED}user: remove ${removes}\nassistant: ${Array(count).fill("[remove_note approval-requested]").join(" ")}`);
  await settled(page);
  return page;
}
async function send(server: Server, body: unknown, user = "ada"): Promise<Response> {
  return fetch(`${server.url}/chat`, { method: "POST", body: JSON.stringify(body), headers: { "x-user": user } });
}

describe("a tool that needs the user's approval", () => {
  it("waits; approved it runs, and the answer goes on in the same message", async () => {
    const page = await waiting(await start(), "milk");
    expect(await states()).toEqual([["milk"], ["milk", "eggs"]]);
    const [id] = askedBy(page) as [string];
    await page.chat.addToolApprovalResponse({ id, approved: true });
    await shows(page, `${NOTED}user: remove milk\nassistant: [remove_note output-available] Removed: milk; eggs is left.`);
    await settled(page);
    expect(toolsOf(page).at(-1)?.input).toEqual({ text: "milk" });
    expect(await states()).toEqual([["milk"], ["milk", "eggs"], ["eggs"]]);
    expect(posts(page)).toHaveLength(3);
    const ids = page.chat.messages.map((message) => message.id);
    const reloaded = await open([...servers][0] as Server);
    await shows(reloaded, page.text());
    expect(reloaded.chat.messages.map((message) => message.id)).toEqual(ids);
  });

  it("denied it does not run, the model is told why, and the page shows it as denied, after a reload too", async () => {
    const server = await start();
    const page = await waiting(server, "milk");
    await page.chat.addToolApprovalResponse({ id: askedBy(page)[0] as string, approved: false, reason: "I need it" });
    const text = `${NOTED}user: remove milk\nassistant: [remove_note output-denied] Not done: I need it.`;
    await shows(page, text);
    await settled(page);
    expect(await states()).toEqual([["milk"], ["milk", "eggs"]]);
    const reloaded = await open(server);
    await shows(reloaded, text);
    for (const each of [page, reloaded]) expect(toolsOf(each).at(-1)?.approval).toMatchObject({ approved: false, reason: "I need it" });
  });

  it("is asked for again on a page that is reloaded meanwhile", async () => {
    const server = await start();
    const page = await waiting(server, "milk");
    const asked = askedBy(page);
    close(page);
    const reloaded = await open(server);
    await shows(reloaded, `${NOTED}user: remove milk\nassistant: [remove_note approval-requested]`);
    await settled(reloaded);
    expect(askedBy(reloaded)).toEqual(asked);
    await reloaded.chat.addToolApprovalResponse({ id: asked[0] as string, approved: true });
    await shows(reloaded, `${NOTED}user: remove milk\nassistant: [remove_note output-available] Removed: milk; eggs is left.`);
  });

  it.each(["the page stays open", "the page is loaded anew"])("may be answered after the server was restarted: %s", async (how) => {
    const server = await start();
    const page = await waiting(server, "eggs");
    await stop(server);
    const again = await start(undefined, Number(new URL(server.url).port));
    // A browser asks again when a connection that it kept is gone; the fetch of Node does not.
    const reaches = (): Promise<boolean> =>
      fetch(`${again.url}/chat/other`, { headers: { "x-user": "eve" } }).then(
        async (response) => response.ok && (await response.text()) === "[]",
        () => false,
      );
    await expect.poll(reaches).toBe(true);
    const there = how === "the page stays open" ? page : await open(again);
    await there.chat.addToolApprovalResponse({ id: askedBy(there)[0] as string, approved: true });
    await shows(there, `${NOTED}user: remove eggs\nassistant: [remove_note output-available] Removed: eggs; milk is left.`);
    expect(await states()).toHaveLength(3);
  });

  it("of two calls at once each is answered, and with the last answer both are sent, once", async () => {
    const page = await waiting(await start(), "milk and eggs");
    const [milk, eggs] = askedBy(page) as [string, string];
    await page.chat.addToolApprovalResponse({ id: eggs, approved: false });
    expect(posts(page)).toHaveLength(2);
    await page.chat.addToolApprovalResponse({ id: milk, approved: true });
    const tools = "[remove_note output-available] [remove_note output-denied]";
    await shows(page, `${NOTED}user: remove milk and eggs\nassistant: ${tools} Removed: milk; eggs is left. Not done.`);
    await settled(page);
    expect(posts(page)).toHaveLength(3);
    expect(await states()).toEqual([["milk"], ["milk", "eggs"], ["eggs"]]);
  });

  it("may be followed by another one in the same turn", async () => {
    const removes = (text: string) => ({ toolCalls: [{ toolName: "remove_note", input: { text } }] });
    const page = await open(await start(createScriptedModel([removes("milk"), removes("eggs"), "Both are gone."])));
    await page.chat.sendMessage({ text: "tidy up" });
    for (const seen of ["", "[remove_note output-available] "]) {
      await shows(page, `user: tidy up\nassistant: ${seen}[remove_note approval-requested]`);
      await settled(page);
      await page.chat.addToolApprovalResponse({ id: askedBy(page)[0] as string, approved: true });
    }
    await shows(page, "user: tidy up\nassistant: [remove_note output-available] [remove_note output-available] Both are gone.");
    expect(posts(page)).toHaveLength(3);
  });

  it("of two calls, shows the one that is still open to a client that answers one at a time", async () => {
    const server = await start();
    const page = await waiting(server, "milk and eggs");
    const message = page.chat.messages.at(-1) as { readonly id: string; readonly role: string; readonly parts: readonly ToolPart[] };
    const only = (text: string): object => ({
      ...message,
      parts: message.parts.map((part) =>
        part.input?.text === text ? { ...part, state: "approval-responded", approval: { ...part.approval, approved: true } } : part,
      ),
    });
    const first = await (await send(server, { id: "chat-1", message: only("eggs") })).text();
    expect(first).toContain(`{"type":"tool-approval-request","approvalId":"${askedBy(page)[0]}","toolCallId":"remove_note-milk"}`);
    expect(first).not.toContain("remove_note-eggs");
    // A page that is loaded now knows which is answered, and sends by itself when the other is.
    const loaded = await open(server);
    await shows(loaded, `${NOTED}user: remove milk and eggs\nassistant: [remove_note approval-requested] [remove_note approval-responded]`);
    await settled(loaded);
    expect(askedBy(loaded)).toEqual([askedBy(page)[0]]);
    await loaded.chat.addToolApprovalResponse({ id: askedBy(loaded)[0] as string, approved: true });
    const tools = "[remove_note output-available] [remove_note output-available]";
    await shows(
      loaded,
      `${NOTED}user: remove milk and eggs\nassistant: ${tools} Removed: milk; eggs is left. Removed: eggs; no notes are left.`,
    );
    expect(await states()).toHaveLength(4);
  });

  it("counts an answer once: what another page answers later changes nothing, and it is shown what became of the call", async () => {
    const server = await start();
    const page = await waiting(server, "milk");
    const other = await open(server);
    await expect.poll(() => askedBy(other)).toHaveLength(1);
    await page.chat.addToolApprovalResponse({ id: askedBy(page)[0] as string, approved: true });
    const text = `${NOTED}user: remove milk\nassistant: [remove_note output-available] Removed: milk; eggs is left.`;
    await shows(page, text);
    await settled(page);
    await other.chat.addToolApprovalResponse({ id: askedBy(other)[0] as string, approved: false });
    await shows(other, text);
    await settled(other);
    expect(toolsOf(other).at(-1)?.input).toEqual({ text: "milk" });
    expect(await states()).toHaveLength(3);
    expect(await stored(async (session) => (await session.messages()).length)).toBe(9);
    // And the same request once more, as after a lost response.
    expect(await (await send(server, posts(page).at(-1))).text()).toContain("eggs is left");
    expect(await states()).toHaveLength(3);
  });

  it("is answered late, when another answer has taken the place of that one: refused, and sent once", async () => {
    const server = await start();
    const page = await waiting(server, "milk");
    const other = await open(server);
    await expect.poll(() => askedBy(other)).toHaveLength(1);
    await page.chat.addToolApprovalResponse({ id: askedBy(page)[0] as string, approved: true });
    await expect.poll(() => page.text(), { timeout: 20_000 }).toContain("eggs is left.");
    await settled(page);
    await stored((session) => session.restore(page.chat.messages.at(-4)?.id.replace(".answer", "") ?? ""));
    await other.chat.addToolApprovalResponse({ id: askedBy(other)[0] as string, approved: true });
    await expect.poll(() => other.chat.status, { timeout: 20_000 }).toBe("error");
    expect(other.chat.error?.message).toContain("ENTRY_NOT_FOUND");
    expect(posts(other)).toHaveLength(1);
  });

  it("cannot be answered by another user", async () => {
    const server = await start();
    const page = await waiting(server, "milk");
    const message = page.chat.messages.at(-1) as { readonly parts: readonly ToolPart[] };
    const parts = message.parts.map((part) =>
      part.state === "approval-requested" ? { ...part, state: "approval-responded", approval: { ...part.approval, approved: true } } : part,
    );
    const refused = await send(server, { id: "chat-1", message: { ...message, parts } }, "bob");
    expect([refused.status, await refused.json()]).toMatchObject([404, { code: "ENTRY_NOT_FOUND" }]);
    expect(await stored((session) => session.requests())).toHaveLength(1);
    expect(await states()).toHaveLength(2);
  });

  it("is declined by a new message; an answer that comes later is told so", async () => {
    const server = await start();
    const page = await waiting(server, "milk");
    const [id] = askedBy(page) as [string];
    const message = page.chat.messages.at(-1) as { readonly parts: readonly ToolPart[] };
    await page.chat.sendMessage({ text: "add 2 and 3" });
    await expect
      .poll(() => page.text(), { timeout: 20_000 })
      .toContain("user: add 2 and 3\nassistant: [add output-available] The sum is 5.");
    await settled(page);
    const reloaded = await open(server);
    await expect.poll(() => toolsOf(reloaded).map(({ state }) => state)).toContain("output-denied");
    expect(askedBy(reloaded)).toEqual([]);
    const parts = [{ ...message.parts.at(-1), state: "approval-responded", approval: { id, approved: true } }];
    const late = await send(server, { id: "chat-1", message: { ...message, parts } });
    expect([late.status, await late.json()]).toMatchObject([404, { code: "ENTRY_NOT_FOUND" }]);
    expect(await states()).toHaveLength(2);
  });

  it("is asked again, once, when the question is sent a second time; a stop ends it", async () => {
    const server = await start();
    const page = await waiting(server, "milk");
    const again = await (await send(server, posts(page).at(-1))).text();
    expect(again).toContain(`"type":"tool-approval-request","approvalId":"${askedBy(page)[0]}"`);
    expect(await stored((session) => session.requests())).toHaveLength(1);
    await page.stop();
    expect(await stored((session) => session.requests())).toEqual([]);
    await page.chat.addToolApprovalResponse({ id: askedBy(page)[0] as string, approved: true });
    await expect.poll(() => page.chat.status, { timeout: 20_000 }).toBe("error");
    expect(await states()).toHaveLength(2);
  });

  it("is asked anew when another answer is wanted", async () => {
    const server = await start();
    const page = await waiting(server, "milk");
    const before = askedBy(page);
    await page.chat.regenerate();
    await shows(page, `${NOTED}user: remove milk\nassistant: [remove_note approval-requested]`);
    await settled(page);
    const now = askedBy(page);
    expect(now).toHaveLength(1);
    expect(now).not.toEqual(before);
    await page.chat.addToolApprovalResponse({ id: now[0] as string, approved: true });
    await expect.poll(() => page.text(), { timeout: 20_000 }).toContain("Removed: milk; eggs is left.");
  });

  it.each([
    ["no answer", [{ type: "text", text: "x" }], /answers to what it asks/],
    ["no parts", "x", /parts is not a list/],
    ["no decision", [{ type: "tool-remove_note", state: "approval-responded", approval: { id: "a" } }], /parts\[0\]\.approval\.approved/],
    ["no id", [{ type: "tool-remove_note", state: "approval-responded", approval: { approved: true } }], /parts\[0\]\.approval\.id/],
    ["nothing in its parts", [null], /parts\[0\] is not an object/],
  ])("an answered message with %s is refused with 400 and what is wrong", async (_, parts, message) => {
    const response = await send(await start(), { id: "c", message: { id: "m", role: "assistant", parts } });
    expect([response.status, await response.json()]).toMatchObject([
      400,
      { code: "INVALID_INPUT", message: expect.stringMatching(message) as string },
    ]);
  });

  it.each([undefined, "", 5])("an answered message whose id is %s is refused before anything is answered", async (id) => {
    const server = await start();
    const page = await waiting(server, "milk");
    const parts = [{ type: "tool-remove_note", state: "approval-responded", approval: { id: askedBy(page)[0], approved: true } }];
    const response = await send(server, { id: "chat-1", message: { id, role: "assistant", parts } });
    expect([response.status, await response.json()]).toMatchObject([400, { code: "INVALID_INPUT" }]);
    expect(await states()).toHaveLength(2);
  });
});
