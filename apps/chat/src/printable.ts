/** Text from elsewhere, made safe to show: no control sequences that move the cursor, retitle the window or hide text. */
export function printable(text: string): string {
  // Bidirectional overrides and the like are left out too: they show text other than it is.
  return text.replace(/\r\n?/g, "\n").replace(/[^\P{Cc}\n\t]|[\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu, "");
}

/** The same on one line. */
export function oneLine(text: string): string {
  return printable(text).replace(/\s+/gu, " ").trim();
}

/** One line of at most `length` characters. */
export function shortened(text: string, length: number): string {
  const line = oneLine(text);
  const characters = Array.from(line.slice(0, length * 2 + 2));
  return characters.length <= length
    ? line
    : `${characters
        .slice(0, length - 1)
        .join("")
        .trimEnd()}…`;
}
