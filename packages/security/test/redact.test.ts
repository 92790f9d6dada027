import { AixgoError } from "@aixgo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isSecretName, redact, redactError } from "../src/index.ts";
import * as patterns from "../src/secret-patterns.ts";

/** Put together here, so that no scanner takes this file for a leak. */
const key = (...parts: string[]): string => parts.join("");
const SECRETS: readonly (readonly [string, string])[] = [
  ["OpenAI", key("sk-", "abcDEF0123456789abcDEF0123456789")],
  ["OpenAI project", key("sk-", "proj-Ab_c-0123456789_ABCDEFGH-xyz")],
  ["Anthropic", key("sk-", "ant-api03-AAAAbbbbCCCC-dddd_eeee-ffff")],
  ["Stripe", key("sk_", "live_0123456789abcdefABCDEF")],
  ["masked by its owner", key("sk-", "ab********************wxyz")],
  ["AWS id", key("AKIA", "IOSFODNN7EXAMPLE")],
  ["GitHub", key("ghp_", "0123456789abcdefghijABCDEFGHIJ012345")],
  ["GitHub fine-grained", key("github_pat_", "11ABCDEFG0abcdefghij_KLMNOPQRSTUVWXYZ")],
  ["GitLab", key("glpat-", "ABCdef-123456_7890")],
  ["Slack", key("xoxb-", "123456789012-abcdefABCDEF")],
  ["Google", key("AIza", "SyA0123456789abcdefghijklmnopqrstuv")],
  ["npm", key("npm_", "0123456789abcdefghijABCDEFGHIJ012345")],
  ["Hugging Face", key("hf_", "abcdefghijklmnopqrstuvwxyzABCD")],
  ["JWT", key("eyJ", "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.s5-Ab_cdEFgh")],
];

// lessons.md: "Redaction hides only the first secret, and leaks its tail"
describe("redact", () => {
  it.each(SECRETS)("%s: every occurrence goes, whole, wherever it stands", (_, secret) => {
    for (const frame of [
      "%",
      "%\n",
      "a % b % c",
      "(%)",
      '"%"',
      "'%'",
      "[%]",
      "x=%&y=1",
      "{%}",
      "<%>",
      "key:%",
      "%,%",
      "at %.",
      "https://api.example/v1?k=%&q=1",
      "`%`;",
      "/path/%",
    ]) {
      const text = redact(frame.replaceAll("%", secret));
      expect(text).toContain("[redacted]");
      for (let length = 6; length <= secret.length; length++) {
        expect(text).not.toContain(secret.slice(-length));
      }
      expect(text).not.toContain(secret.slice(0, 12));
    }
  });

  it.each([
    ["password=hunter2 next", "password=[redacted] next"],
    ["PASSWORD: hunter2", "PASSWORD: [redacted]"],
    ["SMTP_PASS=hunter2 SMTP_HOST=h", "SMTP_PASS=[redacted] SMTP_HOST=h"],
    ['auth { user: "u", "pass": "hunter2" } next', 'auth { user: "u", "pass": [redacted] } next'],
    ["3 tests pass: 12, bypass=1", "3 tests pass: 12, bypass=1"],
    ["curl -u ada:hunter2 https://h", "curl -u [redacted] https://h"],
    ["curl --user='ada:hunter 2' https://h", "curl --user=[redacted] https://h"],
    ["docker run -u 1000:1000 image -u root:root", "docker run -u 1000:1000 image -u [redacted]"],
    ["DB_PASSWORD=a,b&c;d next", "DB_PASSWORD=[redacted] next"],
    ["passwd = 'two words' next", "passwd = [redacted] next"],
    [String.raw`password: "a \"quoted\" word" next`, "password: [redacted] next"],
    ['{"password":"a b","user":"ada"}', '{"password":[redacted],"user":"ada"}'],
    [String.raw`"{\"apiKey\":\"a b\",\"user\":\"ada\"}"`, String.raw`"{\"apiKey\":[redacted],\"user\":\"ada\"}"`],
    ['password="never closed\nto the end', "password=[redacted]"],
    ["api_key=x&api-key=y", "api_key=[redacted]"],
    ["OPENAI_API_KEY=abc", "OPENAI_API_KEY=[redacted]"],
    ["x-api-key: abc\nnext: 1", "x-api-key: [redacted]\nnext: 1"],
    ["aws_secret_access_key = wJalrXUtnFEMI/K7MDENG", "aws_secret_access_key = [redacted]"],
    ["AccountKey=abc==;Endpoint", "AccountKey=[redacted]"],
    ["Authorization: Bearer abc.def next", "Authorization: [redacted] next"],
    ["authorization: Basic dXNlcjpwYXNz next", "authorization: [redacted] next"],
    ["Bearer  abc next Bearer def", "Bearer  [redacted] next Bearer [redacted]"],
    ["Basic dXNlcjpwYXNz", "Basic [redacted]"],
    ["Cookie: a=b; c=d", "Cookie: [redacted]"],
    ["mysql --password hunter2 -u x", "mysql --password [redacted] -u x"],
    ["token=abc token=def", "token=[redacted] token=[redacted]"],
    ["postgres://ada:p@ss/wo'rd@db:5432/x", "postgres://[redacted]@db:5432/x"],
    ["redis://:secret@h1,redis://:secret@h2 next", "redis://[redacted]@h2 next"],
    ["https://token@host/x", "https://[redacted]@host/x"],
    ["-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc==\n-----END RSA PRIVATE KEY----- next", "[redacted] next"],
    ["-----BEGIN PRIVATE KEY-----\nMIIE cut off", "[redacted]"],
    ["-----BEGIN A-----x-----END A----- and -----BEGIN B-----y-----END B-----", "[redacted] and [redacted]"],
  ])("%j becomes %j", (text, expected) => {
    expect(redact(text)).toBe(expected);
  });

  it.each([
    "connect ECONNREFUSED 127.0.0.1:5432",
    `Unexpected token 'a', "abc" is not valid JSON`,
    "https://registry.example/@aixgo/core: 404",
    "inputTokens=12, tokens: 512",
    "Basic authentication failed",
    "the task-runner asked for a disk-based key",
    "session 0123456789abcdef0123456789abcdef has no entry AbCdEfGhIjKlMnOp",
    "",
  ])("leaves %j as it is", (text) => {
    expect(redact(text)).toBe(text);
  });

  it("is bounded, and leaves no part of a secret where it cuts", () => {
    const secret = key("sk-", "abcDEF0123456789abcDEF0123456789");
    expect(redact("x ".repeat(50_000)).length).toBeLessThanOrEqual(2048);
    for (let shift = 0; shift < 60; shift++) {
      // The key crosses the place where the input is cut, behind a block that shrinks to a few characters.
      const text = redact(
        `-----BEGIN A-----${"x".repeat(16_000)}-----END A-----${" ".repeat(384 - 60 + shift)}${secret} ${"y".repeat(50)}`,
      );
      expect(text.length).toBeLessThanOrEqual(2048);
      expect(text).not.toContain(secret.slice(0, 5));
    }
  });

  it("is well-formed and bounded for any text, and lets no whole token through, whatever stands around it", () => {
    const tokens = SECRETS.filter(([whose]) => whose !== "masked by its owner").map(([, secret]) => secret);
    const piece = fc.oneof(
      fc.constantFrom(
        ...tokens,
        "password=",
        '"',
        "\\",
        "'",
        " ",
        "\n",
        "://",
        "@",
        ":",
        "Bearer ",
        "-----BEGIN A-----",
        "-----END A-----",
        ";",
      ),
      fc.string({ unit: "binary", maxLength: 8 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const once = redact(pieces.join(""));
        expect(once.length).toBeLessThanOrEqual(2048);
        expect(/\p{Surrogate}/u.test(once)).toBe(false);
        for (const secret of tokens) expect(once).not.toContain(secret);
      }),
      { numRuns: 20_000 },
    );
  });

  it("has only expressions that are linear by their form", () => {
    const all = Object.entries(patterns);
    expect(all.length).toBeGreaterThan(10);
    for (const [name, { source }] of all) {
      const outsideClasses = source.replace(/\\./g, "e").replace(/\[(?:\^?\]?)[^\]]*\]/g, "c");
      const oneClass = /^c(?:\+|\{\d+,\})$/.test(outsideClasses);
      const bounded = !/[*+]|\{\d+,\}/.test(outsideClasses);
      expect(oneClass || bounded, `${name}: ${source}`).toBe(true);
      expect(source, name).not.toMatch(/\\[1-9]|\\k</);
    }
  });
});

describe("redactError", () => {
  it("keeps name, code and message, without secrets and without further members", () => {
    const error = Object.assign(new TypeError("login failed: password=hunter2"), { code: "E_LOGIN", request: { secret: "x" } });
    expect(redactError(error)).toEqual({ name: "TypeError", code: "E_LOGIN", message: "login failed: password=[redacted]" });
    expect(redactError(new AixgoError("TIMEOUT", "call of a timed out"))).toEqual({
      name: "AixgoError",
      code: "TIMEOUT",
      message: "call of a timed out",
    });
  });

  it("says something of whatever was thrown", () => {
    expect(redactError("token=abc")).toEqual({ name: "Error", message: "token=[redacted]" });
    for (const thrown of [undefined, null, 7, {}, [], Symbol("x"), () => 1, { message: "" }])
      expect(redactError(thrown).message).toBe("no message");
    expect(redactError(new AggregateError([new Error("connect ECONNREFUSED ::1:5432")])).message).toBe("connect ECONNREFUSED ::1:5432");
    expect(redactError({ message: "m", code: 42 })).toEqual({ name: "Error", code: "42", message: "m" });
  });

  it("never throws, whatever getters do", () => {
    const trap = new Proxy(
      {},
      {
        get() {
          throw new Error("trap");
        },
      },
    );
    expect(redactError(trap)).toEqual({ name: "Error", message: "no message" });
    const self: { errors: unknown[] } = { errors: [] };
    self.errors.push(self);
    expect(redactError(self).message).toBe("no message");
  });
});

describe("isSecretName", () => {
  it.each([
    "password",
    "dbPassword",
    "PASSWORD",
    "x-api-key",
    "apiKey",
    "api_key_id",
    "API Key",
    "Authorization",
    "Set-Cookie",
    "refreshToken",
    "token",
    "--client-secret",
    "credentials",
    "privateKeyBase64",
    "pass",
    "smtpPass",
    "SMTP_PASS",
    "db-pass",
    "bearer",
    "authHeader",
    "cookieHeader",
    "authorization headers",
    `${"x".repeat(1000)}_PASSWORD`,
  ])("knows %s", (name) => expect(isSecretName(name)).toBe(true));
  it.each([
    "",
    "name",
    "inputTokens",
    "maxTokens",
    "tokenUsage",
    "turnKey",
    "key",
    "author",
    "passed",
    "bypass",
    "compass",
    "passes",
    "bearerCount",
    "header",
    "secretary",
    "x".repeat(1_000_000),
  ])("leaves %.20s", (name) => expect(isSecretName(name)).toBe(false));
});
