import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const here = dirname(fileURLToPath(import.meta.url));
let folder = "";

/** Node 20 runs no TypeScript: the sources are compiled into a folder of this test's own. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "aixgo-core-"));
  await writeFile(join(folder, "package.json"), '{ "type": "module" }');
  const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");
  await promisify(execFile)(process.execPath, [
    tsc,
    "-p",
    join(here, ".."),
    "--outDir",
    folder,
    "--tsBuildInfoFile",
    join(folder, ".tsbuildinfo"),
  ]);
}, 120_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

async function run(program: string, ...flags: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const file = join(folder, `program-${Math.random().toString(36).slice(2)}.mjs`);
  await writeFile(file, `import { createRuntime } from ${JSON.stringify(pathToFileURL(join(folder, "index.js")).href)};\n${program}`);
  const child = spawn(process.execPath, [...flags, file], { stdio: ["ignore", "pipe", "pipe"] });
  const limit = setTimeout(() => child.kill("SIGKILL"), 280_000);
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk) => (out += String(chunk)));
  child.stderr.on("data", (chunk) => (err += String(chunk)));
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  clearTimeout(limit);
  return { code, out, err };
}

describe("the process", { timeout: 300_000 }, () => {
  it("lesson: survives agents that throw in every way, and ends by itself", async () => {
    const { code, out, err } = await run(`
      const tick = () => new Promise((resolve) => setImmediate(resolve));
      const runtime = createRuntime({ maxConcurrentCalls: 2, timeoutMs: 200 });
      const bad = {
        sync: () => { throw new Error("x"); },
        async: async () => { await null; throw new Error("x"); },
        late: async (_, context) => { await new Promise((resolve) => setTimeout(resolve, 300)); throw new Error("late"); },
        generator: async function* () { yield { type: "text-delta", text: "a" }; throw new Error("x"); },
        finallyThrows: async function* (_, { signal }) { try { for (;;) { await tick(); yield { type: "text-delta", text: "a" }; } } finally { throw new Error("x"); } },
        floating: (_, context) => { void context.call("nobody", "x"); void context.emit(5); throw undefined; },
        yields: async function* () { yield null; },
        returns: () => 5,
      };
      for (const [name, execute] of Object.entries(bad)) runtime.register(name, execute);
      runtime.register("good", () => "alive");
      await runtime.start();
      for (const name of Object.keys(bad)) {
        const codes = await Promise.all([runtime.call(name, "x").catch((error) => error.code), runtime.stream(name, "x").reply.catch((error) => error.code)]);
        console.log(name, ...codes);
      }
      runtime.stream("sync", "nobody looks");
      await new Promise((resolve) => setTimeout(resolve, 400));
      console.log((await runtime.call("good", "x")).text);
      await runtime.stop();
    `);
    expect(err).toBe("");
    expect(out.trim().split("\n")).toEqual([
      "sync AGENT_FAILED AGENT_FAILED",
      "async AGENT_FAILED AGENT_FAILED",
      "late TIMEOUT TIMEOUT",
      "generator AGENT_FAILED AGENT_FAILED",
      "finallyThrows TIMEOUT TIMEOUT",
      "floating AGENT_FAILED AGENT_FAILED",
      "yields AGENT_FAILED AGENT_FAILED",
      "returns AGENT_FAILED AGENT_FAILED",
      "alive",
    ]);
    expect(code).toBe(0);
  });
  it("an abandoned agent that nothing can ever settle does not keep its slot for ever", async () => {
    const { out, err } = await run(
      `
      const runtime = createRuntime({ maxConcurrentCalls: 1 });
      runtime.register("lost", () => new Promise(() => {}));
      runtime.register("lostToo", async (_, context) => { void context.signal; await new Promise(() => {}); });
      runtime.register("good", () => "alive");
      await runtime.start();
      for (const name of ["lost", "lostToo"]) {
        console.log(await runtime.call(name, "x", { timeoutMs: 10 }).catch((error) => error.code));
        let answer;
        void runtime.call("good", "x").then((reply) => { answer = reply.text; });
        for (let n = 0; n < 200 && answer === undefined; n += 1) { globalThis.gc(); await new Promise((resolve) => setTimeout(resolve, 5)); }
        console.log(answer);
      }
    `,
      "--expose-gc",
    );
    expect(err).toBe("");
    expect(out.trim().split("\n")).toEqual(["TIMEOUT", "alive", "TIMEOUT", "alive"]);
  });
  it("keeps nothing of 10,000 rounds of calls, streams, turns, parallel calls, mail and responses, failed and cancelled ones included", async () => {
    const { out, err } = await run(
      `
      import { readdirSync } from "node:fs";
      const message = (text) => ({ id: "m", role: "assistant", parts: [{ type: "text", text }], timestamp: "2026-01-01T00:00:00.000Z" });
      // Sessions that keep nothing: what grows is the runtime's.
      const sessions = {
        sharedBy: "process",
        cancelTurn: async () => false,
        agentOf: async () => "none",
        attach: async () => undefined,
        follow: async function* () {},
        openTurn: async (sessionId, { input, options }) => ({
          id: "t", attempt: 1, signal: new AbortController().signal, input: message(input),
          history: async () => [], steps: async () => [], getState: async () => undefined, setState: async () => {},
          append: async () => ({ message: message("step"), version: 1 }),
          place: { life: "l", version: 0 }, requests: [], resumed: false,
          run: (body) => body(),
          complete: async () => ({ message: message("x"), text: "x", turn: { id: "t", sessionId, version: 1, replayed: false, status: "completed" } }),
          fail: async () => {},
        }),
      };
      const runtime = createRuntime({ sessions, maxConcurrentCalls: 4, timeoutMs: 60_000, mailboxCapacity: 1 });
      runtime.register("echo", (input) => input).register("bad", () => { throw new Error("x"); });
      runtime.register("outer", async (_, context) => (await context.call("echo", "y")).message);
      runtime.register("tokens", async function* () { yield { type: "text-delta", text: "a" }; return "b"; });
      runtime.register("steps", async function* () { yield { type: "message", message: "a" }; return "b"; });
      await runtime.start();
      const caller = new AbortController();
      const { signal } = caller;
      const quiet = (promise) => promise.catch(() => {});
      const round = async (n) => {
        for (let i = 0; i < n; i += 1) {
          await runtime.call("outer", "x", { signal });
          await quiet(runtime.call("bad", "x"));
          for await (const _ of runtime.stream("tokens", "x")) { if (i % 2) break; }
          await quiet(runtime.call("echo", "x", { signal: AbortSignal.abort() }));
          await runtime.callWithSession("steps", "x", "s1", { signal });
          await quiet(runtime.callWithSession("bad", "x", "s1"));
          await runtime.callParallel(["echo", "bad", "outer"], "x", { signal, timeoutMs: 60_000 });
          const sends = Promise.all([runtime.send("echo", "1", { signal }), runtime.send("echo", "2"), runtime.send("echo", "3")]);
          let got = 0;
          for await (const _ of runtime.receive("echo", { signal })) if ((got += 1) === 3) break;
          await sends;
          if (i % 10 === 0) {
            await runtime.send("bad", "full");
            await quiet(runtime.send("bad", "late", { timeoutMs: 1 }));
            for await (const _ of runtime.receive("bad")) break;
            await runtime.stream("tokens", "x").toResponse().text();
            await runtime.stream("tokens", "x").toResponse({ format: "sse" }).body.cancel();
            runtime.register("brief", () => "x");
            await runtime.send("brief", "never read");
            await runtime.unregister("brief");
            await runtime.health();
          }
        }
      };
      const counts = async () => {
        for (let n = 0; n < 5; n += 1) { globalThis.gc(); await new Promise((resolve) => setTimeout(resolve, 10)); }
        const resources = process.getActiveResourcesInfo().toSorted().join();
        const descriptors = process.platform === "linux" ? readdirSync("/proc/self/fd").length : 0;
        return { heap: process.memoryUsage().heapUsed, resources, descriptors };
      };
      await round(1_000);
      const before = await counts();
      await round(9_000);
      const after = await counts();
      const grown = after.heap - before.heap;
      console.log(grown < 1_000_000 ? "flat" : "grew by " + grown, after.resources === before.resources, after.descriptors === before.descriptors);
    `,
      "--expose-gc",
    );
    expect(err).toBe("");
    expect(out.trim()).toBe("flat true true");
  });
});
