import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect, it } from "vitest";
import { openPage, type Page } from "./page.ts";

const MAIN = fileURLToPath(new URL("../dist/main.js", import.meta.url));
const children = new Set<ChildProcess>();
const pages = new Set<Page>();
afterEach(() => {
  for (const page of pages) page.close();
  for (const child of children) child.kill("SIGKILL");
  pages.clear();
  children.clear();
});

async function serve(dir: string): Promise<{ readonly url: string; readonly child: ChildProcess; readonly ended: Promise<unknown> }> {
  const child = spawn(process.execPath, [MAIN, dir, "0"], { stdio: ["ignore", "pipe", "inherit"] });
  children.add(child);
  const ended = new Promise((resolve) => child.once("close", resolve));
  const url = await new Promise<string>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => reject(new Error(`the server ended with ${String(code)}`)));
    child.stdout.setEncoding("utf8").once("data", (text: string) => resolve(text.trim()));
  });
  return { url, child, ended };
}

async function open(url: string): Promise<Page> {
  const page = await openPage(url, "chat-1", "ada");
  pages.add(page);
  return page;
}

it("a server that is killed in mid-answer is started again: the question is there, and asked again it is answered once", async () => {
  const dir = await mkdtemp(join(tmpdir(), "aixgo-use-chat-"));
  try {
    const first = await serve(dir);
    const page = await open(first.url);
    await page.chat.sendMessage({ text: "I am Ada and this is a long story of many words" });
    await expect.poll(() => page.chat.status, { timeout: 20_000 }).toBe("ready");
    const sending = page.chat.sendMessage({ text: "Who am I?" });
    await expect.poll(() => page.text(), { timeout: 20_000 }).toMatch(/Before that you said: I am/);
    first.child.kill("SIGKILL");
    await first.ended;
    await sending;
    expect(page.chat.status).toBe("error");

    const second = await serve(dir);
    const again = await open(second.url);
    expect(again.chat.messages.map(({ role }) => role)).toEqual(["user", "assistant", "user"]);
    // As a client does that finds its last question without an answer: the same message, the same turn.
    const { body } = page.requests.findLast(({ method }) => method === "POST") as { readonly body: unknown };
    const send = (): Promise<Response> =>
      fetch(`${second.url}/chat`, { method: "POST", body: JSON.stringify(body), headers: { "x-user": "ada" } });
    expect(await (await send()).text()).toContain("[DONE]");
    expect(await (await send()).text()).toContain("I am Ada and this is a long story of many words");
    const last = await open(second.url);
    await expect
      .poll(() => last.text().split("\n").slice(-2), { timeout: 20_000 })
      .toEqual(["user: Who am I?", "assistant: Before that you said: I am Ada and this is a long story of many words"]);
  } finally {
    await rm(dir, { recursive: true, force: true, maxRetries: 3 });
  }
}, 60_000);

it("a server that is killed after the user's approval goes on with it when the answer is sent again", async () => {
  const dir = await mkdtemp(join(tmpdir(), "aixgo-use-chat-"));
  try {
    const first = await serve(dir);
    const page = await open(first.url);
    await page.chat.sendMessage({ text: "note milk" });
    await expect.poll(() => page.chat.status, { timeout: 20_000 }).toBe("ready");
    await page.chat.sendMessage({ text: "remove milk" });
    await expect.poll(() => page.text(), { timeout: 20_000 }).toContain("[remove_note approval-requested]");
    await expect.poll(() => page.chat.status, { timeout: 20_000 }).toBe("ready");
    const part = page.chat.messages.at(-1)?.parts.findLast(({ type }) => type === "tool-remove_note") as { approval: { id: string } };
    await page.chat.addToolApprovalResponse({ id: part.approval.id, approved: true });
    await expect.poll(() => page.text(), { timeout: 20_000 }).toContain("[remove_note output-available] Removed:");
    first.child.kill("SIGKILL");
    await first.ended;
    await expect.poll(() => page.chat.status, { timeout: 20_000 }).toBe("error");

    const second = await serve(dir);
    const { body } = page.requests.findLast(({ method }) => method === "POST") as { readonly body: unknown };
    const send = (): Promise<Response> =>
      fetch(`${second.url}/chat`, { method: "POST", body: JSON.stringify(body), headers: { "x-user": "ada" } });
    const again = await (await send()).text();
    expect(again).toContain('"output":"Removed: milk; no notes are left."');
    expect(again).toContain("[DONE]");
    const last = await open(second.url);
    await expect
      .poll(() => last.text().split("\n").at(-1), { timeout: 20_000 })
      .toBe("assistant: [remove_note output-available] Removed: milk; no notes are left.");
  } finally {
    await rm(dir, { recursive: true, force: true, maxRetries: 3 });
  }
}, 60_000);

it("without a folder says how it is used", async () => {
  const child = spawn(process.execPath, [MAIN], { stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const code = await new Promise((resolve) => child.once("close", resolve));
  expect([code, stderr]).toEqual([2, expect.stringContaining("usage: main.js DIR") as string]);
});
