import { styleText } from "node:util";
import type { Check } from "./checks.ts";
import { INPUT } from "./model.ts";
import type { Watcher } from "./round.ts";

type Format = Parameters<typeof styleText>[0];

export interface Paint {
  (format: Format, text: string): string;
}

export function createPaint(enabled: boolean): Paint {
  return (format, text) => (enabled ? styleText(format, text) : text);
}

/** Tells a round while it happens. */
export function createStory(write: (text: string) => void, paint: Paint): Watcher {
  let isSpeaking = false;
  let isQuiet = false;
  const endLine = (): void => {
    if (isSpeaking) write("\n");
    isSpeaking = false;
  };
  return {
    onSession(id) {
      write(`${paint("dim", `session ${id}`)}\n`);
    },
    onWorker(attempt, pid) {
      isQuiet = attempt > 2;
      if (attempt === 1)
        write(`\n${paint("bold", "▶ a process")} ${paint("dim", `(pid ${pid})`)} is asked\n  ${paint("cyan", "you   ›")} ${INPUT}\n`);
      if (attempt === 2) write(`\n${paint("bold", "▶ another process")} ${paint("dim", `(pid ${pid})`)} goes on with the same turn\n`);
      if (attempt === 3) write(`\n${paint("bold", "▶ a third")} ${paint("dim", `(pid ${pid})`)} asks the same again\n`);
    },
    onReport(report) {
      switch (report.type) {
        case "attempt":
          write(`  ${paint("dim", `attempt ${report.attempt}`)}\n`);
          break;
        case "delta":
          if (!isSpeaking) write(`  ${paint("green", "agent ›")}`);
          write(isSpeaking ? report.text : ` ${report.text.trimStart()}`);
          isSpeaking = true;
          break;
        case "stored":
          if (isQuiet) break;
          endLine();
          for (const line of report.lines) write(`    ${paint(line.includes("unknown") ? "yellow" : "dim", line)}\n`);
          break;
        case "answered":
          endLine();
          if (report.replayed) write(`  ${paint("green", "agent ›")} ${report.text} ${paint("dim", "(from the log)")}\n`);
          break;
        case "point":
          if (report.name === "send_mail: the mail has left")
            write(`    ${paint("dim", "… the mail has left, its result is not stored yet")}\n`);
          break;
        default:
          break;
      }
    },
    onEnd({ killed }) {
      endLine();
      if (killed) write(`${paint(["bold", "red"], "✗ kill -9")} ${paint("red", "in the middle of the tool")}\n`);
    },
  };
}

export function checkLine({ holds, claim }: Check, paint: Paint): string {
  return holds ? `  ${paint("green", "✓")} ${claim}` : `  ${paint("red", "✗")} ${paint("red", `not so: ${claim}`)}`;
}
