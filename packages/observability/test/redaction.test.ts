import { Writable } from "node:stream";
import { createRuntime, type Logger, withLogger } from "@aixgo/core";
import fc from "fast-check";
import pino from "pino";
import { describe, expect, it } from "vitest";
import { withRedaction } from "../src/index.ts";
import { plantedSecret, randomOf } from "./secrets.ts";

function sink(): { readonly stream: Writable; text(): string; events(): Record<string, unknown>[] } {
  let text = "";
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString();
      done();
    },
  });
  return {
    stream,
    text: () => text,
    events: () =>
      text
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

function recorded(): Logger & { readonly lines: { level: string; fields: Record<string, unknown>; message: string }[] } {
  const lines: { level: string; fields: Record<string, unknown>; message: string }[] = [];
  const log =
    (level: string) =>
    (fields: object, message: string): void =>
      void lines.push({ level, fields: fields as Record<string, unknown>, message });
  return { lines, debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
}

const fieldsOf = (value: unknown): unknown => {
  const logger = recorded();
  withRedaction(logger).info({ value }, "x");
  return logger.lines[0]?.fields["value"];
};

describe("the names that libraries give to secrets", () => {
  it("masks the options of mailers, headers and boxed texts", () => {
    expect(
      fieldsOf({
        transport: { auth: { user: "ada", pass: "hunter2" } },
        options: { authHeader: "hunter2", smtpPass: "hunter2", bearer: "hunter2" },
        env: "SMTP_PASS=hunter2",
        boxed: new String("token=hunter2"),
        test: { passed: 3, bypass: "no" },
      }),
    ).toEqual({
      transport: { auth: { user: "ada", pass: "[redacted]" } },
      options: { authHeader: "[redacted]", smtpPass: "[redacted]", bearer: "[redacted]" },
      env: "SMTP_PASS=[redacted]",
      boxed: "token=[redacted]",
      test: { passed: 3, bypass: "no" },
    });
  });
});

describe("pino", () => {
  it("is a logger of the runtime as it is", async () => {
    const { stream, events } = sink();
    const runtime = createRuntime(withLogger(pino({ level: "debug" }, stream))).register("bad", (_input, context) => {
      context.logger.info({ step: 1 }, "working");
      throw new Error("boom");
    });
    await runtime.start();
    await runtime.call("bad", "x").catch(() => {});
    expect(events().map(({ level, msg, step, code }) => [level, msg, step ?? code])).toEqual([
      [30, "working", 1],
      [40, "an agent failed", "AGENT_FAILED"],
    ]);
  });

  it("1,000 planted secrets, anywhere in the fields and in the message: none is written, and each event is one line", () => {
    const { stream, text, events } = sink();
    const logger = withRedaction(pino({ level: "debug" }, stream));
    const random = randomOf(7);
    const planted = Array.from({ length: 1000 }, (_, index) => plantedSecret(index, random));
    const places: ((text: string, secret: string) => object)[] = [
      (text) => ({ note: text }),
      (text) => ({ a: { b: [{ c: text }] } }),
      (text) => ({ [text]: 1 }),
      (text) => ({ err: new Error(text) }),
      (text) => ({ err: new Error("outer", { cause: new Error(text) }) }),
      (text) => ({ err: Object.assign(new Error("request failed"), { config: { headers: { note: text } } }) }),
      (_text, secret) => ({ headers: { Authorization: secret, "x-api-key": secret } }),
      (_text, secret) => ({ rawHeaders: ["Host", "x", "Authorization", secret] }),
      (_text, secret) => ({ argv: ["--password", secret] }),
      (_text, secret) => ({ env: [{ name: "API_KEY", value: secret }] }),
      (_text, secret) => ({ config: { db: { password: secret } }, credentials: { user: "u", pin: [secret] } }),
      (text) => ({ map: new Map([["k", text]]), set: new Set([text]) }),
      (text) => ({ at: { toJSON: () => ({ inner: text }) } }),
      (text) => ({
        get lazy() {
          return text;
        },
      }),
      (text) => ({ list: [new AggregateError([new Error(text)], "several")] }),
      (_text, secret) => ({ url: new URL(`https://u:${secret}@x.test/?token=${secret}`) }),
    ];
    for (const [index, { text, secret }] of planted.entries()) {
      const fields = (places[index % places.length] as (typeof places)[number])(text, secret);
      logger.info({ index, ...fields }, index % 3 === 0 ? `failed: ${text}` : "event");
    }
    const written = text();
    expect(events().map(({ index }) => index)).toEqual(planted.map((_, index) => index));
    expect(planted.filter(({ secret }) => written.includes(secret))).toEqual([]);
    expect(written.split("[redacted]").length).toBeGreaterThan(1000);
  });

  it("without redaction the same secrets are found: the test can fail", () => {
    const { stream, text } = sink();
    const { secret, text: planted } = plantedSecret(3, randomOf(7));
    pino(stream).info({ note: planted }, "x");
    expect(text()).toContain(secret);
  });
});

describe("withRedaction", () => {
  it("leaves what is no secret as it was", () => {
    const value = {
      inputTokens: 12,
      maxTokens: 5,
      code: "TIMEOUT",
      ok: true,
      none: null,
      hasToken: true,
      ids: ["a", "b"],
      nested: { deep: { n: 1.5 } },
    };
    expect(fieldsOf(value)).toEqual(value);
  });

  it("masks what lies under the name of a secret, however it is written", () => {
    const value = { "API Key": "a", "set-cookie": ["b"], dbPassword: 7, "config.client_secret": { of: "c" }, token: "" };
    const mask = "[redacted]";
    expect(fieldsOf(value)).toEqual({ "API Key": mask, "set-cookie": mask, dbPassword: mask, "config.client_secret": mask, token: "" });
  });

  it("passes level and message on", () => {
    const logger = recorded();
    const redacting = withRedaction(logger);
    for (const level of ["debug", "info", "warn", "error"] as const) redacting[level]({ level }, `at ${level}`);
    expect(logger.lines).toEqual(["debug", "info", "warn", "error"].map((level) => ({ level, fields: { level }, message: `at ${level}` })));
  });

  it("shows errors with type, code and cause", () => {
    const error = Object.assign(new TypeError("bad password=hunter2"), { code: "E_X", cause: new RangeError("inner") });
    expect(fieldsOf(error)).toMatchObject({
      type: "TypeError",
      message: "bad password=[redacted]",
      code: "E_X",
      cause: { type: "RangeError", message: "inner" },
    });
    expect(JSON.stringify(fieldsOf(error))).not.toContain("hunter2");
  });

  it("errors keep their type through pino's own serializer of `err`", () => {
    let line = "";
    const logger = withRedaction(pino({ base: null }, { write: (text: string) => void (line = text) }));
    logger.error({ err: Object.assign(new TypeError("token=abcdefabcdef1234567"), { code: "E_X" }) }, "failed");
    expect(JSON.parse(line)).toMatchObject({ err: { type: "TypeError", message: "token=[redacted]", code: "E_X" } });
    expect(Object.keys((JSON.parse(line) as { err: object }).err).sort()).toEqual(["code", "message", "stack", "type"]);
  });

  it.each<[string, unknown, unknown]>([
    ["a circle", Object.assign([] as unknown[], { 0: null }), [null]],
    ["bytes", Buffer.from("secret"), "[6 bytes]"],
    ["a function", () => 1, "[function]"],
    ["a bigint", 10n ** 20n, "100000000000000000000"],
    ["a date", new Date(0), "1970-01-01T00:00:00.000Z"],
    [
      "a getter that throws",
      {
        get x() {
          throw new Error("no");
        },
      },
      { x: "[unreadable]" },
    ],
    [
      "toJSON that throws",
      {
        toJSON() {
          throw new Error("no");
        },
      },
      "[unreadable]",
    ],
    [
      "a revoked proxy",
      (() => {
        const { proxy, revoke } = Proxy.revocable({}, {});
        revoke();
        return proxy;
      })(),
      "[unreadable]",
    ],
    ["__proto__ as a member", JSON.parse('{"__proto__":{"token":"x"}}'), JSON.parse('{"__proto__":{"token":"[redacted]"}}')],
  ])("takes %s", (_name, value, expected) => expect(fieldsOf(value)).toEqual(expected));

  it("takes what contains itself, is deep or large", () => {
    const loop: Record<string, unknown> = {};
    loop["self"] = loop;
    expect(fieldsOf(loop)).toEqual({ self: "[circular]" });
    let deep: unknown = "end";
    for (let n = 0; n < 10_000; n += 1) deep = { deep };
    expect(JSON.stringify(fieldsOf(deep))).toContain("[too deep]");
    const wide = fieldsOf(Array.from({ length: 100_000 }, (_, n) => ({ n }))) as unknown[];
    expect(wide.length).toBeLessThan(3000);
    expect(wide.at(-1)).toBe("[cut]");
    expect(JSON.stringify(fieldsOf("x".repeat(1_000_000))).length).toBeLessThan(3000);
  });

  it("never throws, and writes what JSON can carry, whatever it is given", () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withMap: true, withSet: true, withDate: true, withTypedArray: true, withNullPrototype: true }),
        (value) => {
          const logger = recorded();
          withRedaction(logger).info(value as object, value as string);
          expect(typeof logger.lines[0]?.message).toBe("string");
          JSON.stringify(logger.lines[0]?.fields);
        },
      ),
      { numRuns: 1000 },
    );
  });

  it("also takes out what the application knows to be secret; if that fails, the text goes", () => {
    const logger = recorded();
    withRedaction(logger, { redact: (text) => text.replaceAll("ada", "[name]") }).info({ user: "ada", password: "x" }, "ada came");
    expect(logger.lines[0]).toMatchObject({ fields: { user: "[name]", password: "[redacted]" }, message: "[name] came" });
    const failing = recorded();
    withRedaction(failing, {
      redact: () => {
        throw new Error("down");
      },
    }).info({ user: 1 }, "ada");
    expect(failing.lines[0]?.message).toBe("[redacted]");
  });

  it("does nothing for levels that are off", () => {
    const { stream, text } = sink();
    let read = 0;
    withRedaction(pino({ level: "warn" }, stream)).debug(
      {
        get costly() {
          return (read += 1);
        },
      },
      "x",
    );
    expect([read, text()]).toEqual([0, ""]);
  });

  it.each<[string, () => unknown, string]>([
    ["no logger", () => withRedaction({} as Logger), "withRedaction: the logger must be an object with debug, info, warn, error"],
    ["another option", () => withRedaction(recorded(), { mask: "x" } as never), 'there is no option "mask"'],
    ["no function", () => withRedaction(recorded(), { redact: "x" as never }), '"redact" must be a function'],
  ])("refuses %s", (_name, make, problem) => {
    expect(make).toThrow(problem);
  });
});
