import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { onTestFinished } from "vitest";

/** How Node runs the sources: a child starts in whatever folder the tests do, so the loader is found from here. */
const TYPESCRIPT = ["--conditions=@aixgo/source", "--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href];

export interface Child {
  /** Whole lines that it has said so far. */
  readonly said: readonly string[];
  readonly ended: Promise<unknown>;
  write(text: string): void;
  /** Ends its input. */
  finish(): void;
  signal(signal: NodeJS.Signals): void;
}

/** Runs a program of this folder, which ends with the test at the latest. */
export function child(program: string, args: readonly string[], onLine: (line: string) => void = () => {}): Child {
  const running = spawn(process.execPath, [...TYPESCRIPT, join(import.meta.dirname, program), ...args], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  onTestFinished(() => void running.kill("SIGKILL"));
  const said: string[] = [];
  let rest = "";
  running.stdin.on("error", () => {});
  running.stdout.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      said.push(line);
      onLine(line);
    }
  });
  return {
    said,
    ended: once(running, "close"),
    write: (text) => void running.stdin.write(text),
    finish: () => void running.stdin.end(),
    signal: (signal) => void running.kill(signal),
  };
}
