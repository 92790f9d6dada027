import { describe, expect, it } from "vitest";
import { parseArguments } from "../src/arguments.ts";
import { chooseModel } from "../src/model-choice.ts";
import { UsageError } from "../src/usage-error.ts";

describe("parseArguments", () => {
  it("has a default for everything", () => {
    expect(parseArguments([], {})).toEqual({
      user: expect.stringMatching(/./),
      session: undefined,
      sessionDir: undefined,
      model: undefined,
      color: true,
    });
  });

  it("takes every option, in both spellings", () => {
    const id = "0123456789abcdef0123456789abcdef";
    expect(
      parseArguments(["--user=ada@example.com", "--session", id, "--session-dir", "/tmp/x", "--model=m", "--no-color"], {
        AIXGO_SESSION_DIR: "/elsewhere",
      }),
    ).toEqual({
      user: "ada@example.com",
      session: id,
      sessionDir: "/tmp/x",
      model: "m",
      color: false,
    });
  });

  it("reads the environment where no option says otherwise", () => {
    expect(parseArguments([], { AIXGO_SESSION_DIR: "/elsewhere", NO_COLOR: "1" })).toMatchObject({
      sessionDir: "/elsewhere",
      color: false,
    });
  });

  it.each([["--help"], ["--version"], ["--user", "ada", "--help"]])("prints %s instead of talking", (...argv) => {
    expect(parseArguments(argv, {})).toEqual({ printed: expect.stringMatching(/Usage: chat|^\d+\.\d+\.\d+\n$/) });
  });

  it.each<[string[], RegExp]>([
    [["--usr", "ada"], /unknown option '--usr'.*--user/],
    [["ada"], /"ada" was not expected.*npm start -- --user ada/],
    [["--user"], /--user.*argument missing/],
    [["--user", " "], /--user needs a name/],
    [["--user", "a\u0007b"], /cannot be shown/],
    [["--user", "a\u202eb"], /cannot be shown/],
    [["--user", "x".repeat(300)], /256 bytes/],
    [["--session", "42"], /no session id/],
    [["--session", "../../etc/passwd"], /no session id/],
    [["--session-dir", ""], /--session-dir needs a value/],
    [["--model", ""], /--model needs a value/],
    [["-x"], /unknown option '-x'/],
  ])("refuses %j in one line", (argv, problem) => {
    expect(() => parseArguments(argv, {})).toThrow(UsageError);
    expect(() => parseArguments(argv, {})).toThrow(problem);
    try {
      parseArguments(argv, {});
    } catch (error) {
      expect((error as Error).message).not.toContain("\n");
    }
  });
});

describe("chooseModel", () => {
  const choose = (env: NodeJS.ProcessEnv, named?: string): ReturnType<typeof chooseModel> => chooseModel({ named, env, wordDelayMs: 0 });

  it.each<[NodeJS.ProcessEnv, string | undefined, string, boolean]>([
    [{}, undefined, "small offline model (rules, no AI)", true],
    [{ OPENAI_API_KEY: "k" }, "offline", "small offline model (rules, no AI)", true],
    [{ OPENAI_API_KEY: "k" }, undefined, "gpt-4.1-mini (OpenAI)", false],
    [{ OPENAI_API_KEY: "k", AIXGO_MODEL: "gpt-x" }, undefined, "gpt-x (OpenAI)", false],
    [{ OPENAI_API_KEY: "k", AIXGO_MODEL: "gpt-x" }, "gpt-y", "gpt-y (OpenAI)", false],
    [{ ANTHROPIC_API_KEY: "k" }, undefined, "claude-sonnet-4-5 (Anthropic)", false],
    [{ ANTHROPIC_API_KEY: "k", OPENAI_API_KEY: "k" }, undefined, "gpt-4.1-mini (OpenAI)", false],
    [{ ANTHROPIC_API_KEY: "k", OPENAI_API_KEY: "k" }, "claude-x", "claude-x (Anthropic)", false],
    [{ AIXGO_MODEL_URL: "http://127.0.0.1:9/v1", OPENAI_API_KEY: "k" }, "llama", "llama (127.0.0.1:9)", false],
  ])("given %j and --model %s: %s", async (env, named, label, offline) => {
    const choice = await choose(env, named);
    expect(choice).toMatchObject({ label, offline });
    expect(["v3", "v4"]).toContain(choice.model.specificationVersion);
  });

  it.each<[NodeJS.ProcessEnv, string | undefined, RegExp]>([
    [{}, "gpt-x", /"gpt-x" needs a provider.*--model/],
    [{ AIXGO_MODEL: "gpt-x" }, undefined, /AIXGO_MODEL out/],
    [{ AIXGO_MODEL_URL: "http://x/v1" }, undefined, /name of a model/],
    [{ AIXGO_MODEL_URL: "not a url" }, "m", /http or https address/],
    [{ AIXGO_MODEL_URL: "file:///etc" }, "m", /http or https address/],
  ])("given %j and --model %s it refuses", async (env, named, problem) => {
    await expect(choose(env, named)).rejects.toThrow(UsageError);
    await expect(choose(env, named)).rejects.toThrow(problem);
  });
});
