import { chmod, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Program } from "./program.ts";

let chat: Program;
beforeEach(async () => {
  chat = await Program.create();
});
afterEach(() => chat.remove());

describe("piped in", () => {
  it("remembers from one process to the next", async () => {
    expect(await chat.run("My name is Ada\n", ["--user", "ada"])).toEqual({
      code: 0,
      signal: null,
      stdout: "Nice to meet you, Ada.\n",
      stderr: "",
    });
    expect(await chat.run("What is my name?\n", ["--user", "ada"])).toEqual({
      code: 0,
      signal: null,
      stdout: "Your name is Ada.\n",
      stderr: "",
    });
  });

  it("does not tell one user what another said", async () => {
    await chat.run("My name is Ada\n", ["--user", "ada"]);
    const { stdout } = await chat.run("What is my name?\n", ["--user", "bob"]);
    expect(stdout).toBe("You have not told me your name yet.\n");
  });

  it("answers each line with one line, commands included", async () => {
    const said = [
      "My name is Ada",
      "",
      "what is (2+3)*4 and then divided by 5?",
      "/checkpoint before",
      "My name is Bob",
      "What is my name?",
      "/restore before",
      "What is my name?",
      "/tree",
      "/history",
      "/help",
      "/sessions",
    ];
    const { stdout, stderr, code } = await chat.run(`${said.join("\n")}\n`);
    const lines = stdout.trimEnd().split("\n");
    expect({ code, stderr, count: lines.length }).toEqual({ code: 0, stderr: "", count: said.length - 1 });
    expect(lines[1]).toBe("(2+3)*4 = 20, then 20 / 5 = 4.");
    expect(lines[4]).toBe("Your name is Bob.");
    expect(lines[6]).toBe("Your name is Ada.");
    expect(lines[7]).toMatch(/you: My name is Bob.*← here/);
    expect(lines[8]).not.toMatch(/Bob/);
  });

  it("brings the notes of then back on restore, in another process too", async () => {
    await chat.run("Add a note: milk\n/checkpoint one\nAdd a note: eggs\n");
    expect((await chat.run("Show my notes\n")).stdout).toMatch(/2 notes: 1\. milk; 2\. eggs/);
    expect((await chat.run("/restore one\nShow my notes\n")).stdout).toMatch(/1 note: 1\. milk\.\n$/);
    expect((await chat.run("/undo\n/undo\nShow my notes\n")).stdout).toMatch(/You have no notes\.\n$/);
  });

  it("asks before it does what cannot be taken back lightly; y and n answer, in this process or a later one", async () => {
    const asked = await chat.run("Add a note: milk\nclear my notes\n");
    expect(asked).toMatchObject({ code: 0, stdout: "Noted: milk (note 1).\nMay I run notes action=clear? (y/n)\n" });
    expect(asked.stderr).toBe("chat: a question waits for a line with y or n: May I run notes action=clear?\n");
    const other = await chat.run("what is 1+1?\n");
    expect(other).toMatchObject({ code: 1, stdout: "" });
    expect(other.stderr).toMatch(/line 1: the question "May I run notes action=clear\?" waits for y or n; the line was not sent\./);
    const denied = await chat.run("No\nshow my notes\nclear my notes\nYES\nshow my notes\n");
    expect(denied).toMatchObject({
      code: 0,
      stdout:
        "I could not change or read your notes: it was not allowed.\nYou have 1 note: 1. milk.\nMay I run notes action=clear? (y/n)\nAll notes are removed.\nYou have no notes.\n",
    });
    expect(denied.stderr).toMatch(/^chat: a question waits for a line with y or n: .*\n$/);
  });

  it("finishes an answer whose process was killed after the y, without asking again", async () => {
    await chat.run("Add a note: milk\nclear my notes\n");
    const dying = chat.start([], { AIXGO_OFFLINE_DELAY_MS: "2000" });
    dying.child.stdin?.write("y\n");
    for (;;) {
      // The last line may be on its way.
      const [log = []] = Object.values((await chat.logs().catch(() => ({}))) as Awaited<ReturnType<typeof chat.logs>>);
      if (log.some(({ type, data }) => type === "state" && JSON.stringify(data).includes('"notes":[]'))) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    dying.child.kill("SIGKILL");
    await dying.ended;
    const next = await chat.run("show my notes\n");
    expect(next.stdout).toBe("You have no notes.\n");
    expect(next.stderr).toMatch(/finished the turn that was cut off \("clear my notes"\): All notes are removed\./);
    const [log = []] = Object.values(await chat.logs());
    expect(log.filter(({ data }) => data["phase"] === "decide")).toHaveLength(1);
  }, 60_000);

  it("undoes down to the empty session, and says when there is nothing left", async () => {
    const { stdout, stderr, code } = await chat.run("My name is Ada\n/undo\nWhat is my name?\n/undo\n/undo\n");
    expect(stdout).toMatch(/0 messages left.*\nYou have not told me your name yet\.\n.*0 messages left/);
    expect(stderr).toBe("chat: line 5: there is no turn to undo.\n");
    expect(code).toBe(1);
  });

  it("takes unique beginnings of ids, and refuses others", async () => {
    const made = await chat.run("My name is Ada\n/checkpoint\n");
    const id = /Checkpoint (\S+) /.exec(made.stdout)?.[1] ?? "";
    expect(id).toHaveLength(16);
    expect((await chat.run(`I like tea\n/restore ${id.slice(0, 8)}\n/history\n`)).stdout.split("\n")[2]).not.toMatch(/tea/);
    const { stderr, code } = await chat.run("/restore nowhere\n/restore\n/histroy\n/quitt now\n/quit now\n");
    expect(stderr.trimEnd().split("\n")).toEqual([
      expect.stringMatching(/^chat: line 1: this session has no checkpoint, message or entry "nowhere"/),
      expect.stringMatching(/^chat: line 2: \/restore needs the id/),
      expect.stringMatching(/^chat: line 3: there is no command \/histroy\. Did you mean \/history\?/),
      expect.stringMatching(/^chat: line 4: there is no command \/quitt\. Did you mean \/quit\?/),
      expect.stringMatching(/^chat: line 5: \/quit takes nothing after it/),
    ]);
    expect(code).toBe(1);
  });

  it("forks, and leaves the original as it was", async () => {
    const forked = await chat.run("My name is Ada\n/fork\nMy name is Bob\nWhat is my name?\n");
    const id = /You are now in ([0-9a-f]{32})/.exec(forked.stdout)?.[1] ?? "";
    expect(forked.stdout).toMatch(/Your name is Bob\.\n$/);
    expect((await chat.run("What is my name?\n")).stdout).toBe("Your name is Ada.\n");
    expect((await chat.run("What is my name?\n", ["--session", id])).stdout).toBe("Your name is Bob.\n");
  });

  it("stops reading at /quit, though the pipe stays open", async () => {
    const running = chat.start();
    running.child.stdin?.write("hello\n/quit\nhello\n");
    expect(await running.ended).toMatchObject({ code: 0, stdout: "Hello! What is your name?\n" });
  });

  it("answers while the pipe is open, and a last line without an end", async () => {
    const running = chat.start();
    running.child.stdin?.write("My name is Ada\n");
    await running.seen(/Ada\.\n/);
    running.child.stdin?.end("What is my name?");
    expect((await running.ended).stdout).toBe("Nice to meet you, Ada.\nYour name is Ada.\n");
  });

  it("stops at Ctrl-C while it waits for the next line", async () => {
    const running = chat.start();
    running.child.stdin?.write("hello\n");
    await running.seen(/Hello!/);
    running.child.kill("SIGINT");
    expect(await running.ended).toMatchObject({ code: 130, stderr: "" });
  });

  it("reports a line that is not UTF-8, answers the others, and exits with 1", async () => {
    expect(await chat.run(Buffer.concat([Buffer.from("hello\n"), Buffer.from([0xff, 0xfe, 0x0a]), Buffer.from("hello\r\n")]))).toEqual({
      code: 1,
      signal: null,
      stdout: "Hello! What is your name?\nHello! What is your name?\n",
      stderr: "chat: line 2: the line is not UTF-8 text.\n",
    });
  });

  it("ends quietly when nobody reads its answers any more", async () => {
    const running = chat.start();
    running.child.stdout?.destroy();
    running.child.stdin?.end("hello\n".repeat(20));
    expect(await running.ended).toMatchObject({ code: 0, stderr: "" });
  });

  it("stores no key and no double: the log holds each line once", async () => {
    await chat.run("I like tea\nI like cake\n");
    const [log = []] = Object.values(await chat.logs());
    const said = log.filter(({ type, data }) => type === "message" && data["role"] === "user").map(({ data }) => data["parts"]);
    expect(said).toEqual([[{ type: "text", text: "I like tea" }], [{ type: "text", text: "I like cake" }]]);
  });
});

describe("cut off", () => {
  /** Slow enough to be hit in the middle of a sentence, whatever the machine. */
  const SLOW = { AIXGO_OFFLINE_DELAY_MS: "1000" };

  async function cutOff(signal: NodeJS.Signals): Promise<Awaited<ReturnType<Program["run"]>>> {
    const running = chat.start(["--user", "ada"], SLOW);
    running.child.stdin?.write("My name is Ada, and what can you do?\n");
    for (;;) {
      const logs = await chat.logs().catch(() => ({}));
      if (Object.values(logs).some((log) => log.some(({ data }) => data["role"] === "user"))) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    running.child.kill(signal);
    return running.ended;
  }

  it.each(["SIGKILL", "SIGTERM", "SIGHUP"] as const)("by %s, it goes on first, as a second attempt of the same turn", async (signal) => {
    const killed = await cutOff(signal);
    expect(killed.stdout).toBe("");
    const next = await chat.run("What is my name?\n", ["--user", "ada"]);
    expect(next).toMatchObject({ code: 0, stdout: "Your name is Ada.\n" });
    expect(next.stderr).toMatch(
      /^chat: finished the turn that was cut off \("My name is Ada, and what can you do\?"\): Nice to meet you, Ada\..*\n$/,
    );

    const [log = []] = Object.values(await chat.logs());
    const inputs = log.filter(({ type, data }) => type === "message" && data["role"] === "user");
    expect(inputs).toHaveLength(2);
    const turns = log.filter(({ type }) => type === "turn").map(({ data }) => [data["phase"], data["attempt"], data["status"]]);
    expect(turns).toEqual([
      ["start", 1, undefined],
      ["end", 1, "interrupted"],
      ["start", 2, undefined],
      ["end", 2, "completed"],
      ["start", 1, undefined],
      ["end", 1, "completed"],
    ]);
    expect((await chat.run("", ["--user", "ada"])).stderr).toBe("");
  });

  it("by Ctrl-C, the turn is over: the next start does not go on with it", async () => {
    expect(await cutOff("SIGINT")).toMatchObject({ code: 130, stdout: "" });
    const next = await chat.run("What is my name?\n", ["--user", "ada"]);
    expect(next).toMatchObject({ code: 0, stdout: "Your name is Ada.\n", stderr: "" });
  });
});

describe("two at once", () => {
  it("take turns in one session, and none is lost", async () => {
    const runs = await Promise.all(
      ["tea", "cake", "jam"].map((what) =>
        chat.run(`I like ${what}\nI love ${what}\n`, ["--user", "ada"], { AIXGO_OFFLINE_DELAY_MS: "5" }),
      ),
    );
    for (const run of runs) {
      expect(run.code).toBe(0);
      expect(run.stdout.trimEnd().split("\n")).toHaveLength(2);
    }
    const { stdout } = await chat.run("What do I like?\nWhat do I love?\n", ["--user", "ada"]);
    for (const what of ["tea", "cake", "jam"]) expect(stdout).toMatch(new RegExp(`like ${what}.*\\n.*love ${what}`));
    const [log = []] = Object.values(await chat.logs());
    expect(log.filter(({ type, data }) => type === "message" && data["role"] === "user")).toHaveLength(8);
  });
});

describe("what cannot be", () => {
  const oneLine = /^chat: [^\n]+\n$/;

  it.each<[string[], RegExp]>([
    [["--usr", "ada"], /unknown option '--usr'/],
    [["ada"], /npm start -- --user ada/],
    [["--session", "42"], /no session id/],
    [["--user", ""], /--user needs a name/],
    [["--model", "gpt-x"], /needs a provider/],
  ])("%j exits with 2 and one line", async (args, problem) => {
    const { code, stdout, stderr } = await chat.run("hello\n", args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(oneLine);
    expect(stderr).toMatch(problem);
  });

  it("an unknown session, and another user's, are the same to tell", async () => {
    await chat.run("hello\n", ["--user", "zoe"]);
    const [id = ""] = Object.keys(await chat.logs());
    const unknown = await chat.run("hello\n", ["--user", "eve", "--session", "0123456789abcdef0123456789abcdef"]);
    const foreign = await chat.run("hello\n", ["--user", "eve", "--session", id]);
    for (const run of [unknown, foreign]) {
      expect(run).toMatchObject({ code: 1, stdout: "" });
      expect(run.stderr).toMatch(oneLine);
      expect(run.stderr).toMatch(/--user/);
    }
    expect(foreign.stderr).not.toMatch(/zoe/);
  });

  it("a folder that others can read is refused with the command that mends it", async () => {
    await mkdir(chat.sessionDir);
    await chmod(chat.sessionDir, 0o755);
    const { code, stderr } = await chat.run("hello\n");
    expect(code).toBe(1);
    expect(stderr).toMatch(oneLine);
    expect(stderr).toMatch(/chmod 700/);
  });

  it("a file in the folder's place", async () => {
    await writeFile(chat.sessionDir, "");
    const { code, stderr, stdout } = await chat.run("hello\n");
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(oneLine);
    expect(stderr).toMatch(/--session-dir/);
  });

  it("a damaged log is reported, without a stack, and is not changed", async () => {
    await chat.run("My name is Ada\nI like tea\n", ["--user", "ada"]);
    const folder = join(chat.sessionDir, "assistant");
    const [file = ""] = await readdir(folder);
    const { readFile } = await import("node:fs/promises");
    const bytes = await readFile(join(folder, file));
    bytes[bytes.indexOf("My name is Ada")] = 0x58;
    await writeFile(join(folder, file), bytes);
    const { code, stdout, stderr } = await chat.run("What is my name?\n", ["--user", "ada"]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(oneLine);
    expect(stderr).toMatch(/damaged/);
    expect(await readFile(join(folder, file))).toEqual(bytes);
    expect((await chat.run("What is my name?\n", ["--user", "ada"], { AIXGO_DEBUG: "1" })).stderr).toMatch(/\n\s+at /);
    expect((await chat.run("hello\n", ["--user", "bob"])).code).toBe(0);
  });

  it("a model server that fails is told in one line, and the next line is tried", async () => {
    const { createServer } = await import("node:http");
    const server = createServer((_, response) =>
      response.writeHead(401, { "content-type": "application/json" }).end('{"error":{"message":"bad key"}}'),
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const { port } = server.address() as { port: number };
      const env = { AIXGO_MODEL_URL: `http://127.0.0.1:${port}/v1`, AIXGO_MODEL: "m", AIXGO_MODEL_KEY: "sk-very-secret-key-0123456789" };
      const { code, stdout, stderr } = await chat.run("hello\nhello\n", [], env);
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr.trimEnd().split("\n")).toHaveLength(2);
      expect(stderr).toMatch(/line 1: .*bad key/);
      expect(stderr + JSON.stringify(await chat.logs())).not.toMatch(/very-secret/);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });
});

describe("a real model's server", () => {
  it("is given each earlier turn once, and streams its answer", async () => {
    const { createServer } = await import("node:http");
    const bodies: { messages: { role: string; content: unknown }[]; stream: boolean }[] = [];
    const server = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk: Buffer) => (body += chunk.toString()));
      request.on("end", () => {
        bodies.push(JSON.parse(body) as never);
        response.writeHead(200, { "content-type": "text/event-stream" });
        for (const content of ["Hello", " from", "\nafar"])
          response.write(
            `data: ${JSON.stringify({ id: "1", object: "chat.completion.chunk", choices: [{ index: 0, delta: { role: "assistant", content } }] })}\n\n`,
          );
        response.end(
          `data: ${JSON.stringify({ id: "1", choices: [{ index: 0, delta: {}, finish_reason: "stop" }], usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } })}\n\ndata: [DONE]\n\n`,
        );
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const { port } = server.address() as { port: number };
      const env = { AIXGO_MODEL_URL: `http://127.0.0.1:${port}/v1`, AIXGO_MODEL: "m" };
      expect(await chat.run("first\n", [], env)).toMatchObject({ code: 0, stdout: "Hello from afar\n", stderr: "" });
      expect(await chat.run("second\n", [], env)).toMatchObject({ code: 0, stdout: "Hello from afar\n", stderr: "" });
      expect(bodies.map(({ stream }) => stream)).toEqual([true, true]);
      expect(bodies[1]?.messages.filter(({ role }) => role !== "system").map(({ role, content }) => [role, content])).toEqual([
        ["user", "first"],
        ["assistant", "Hello from\nafar"],
        ["user", "second"],
      ]);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });
});
