import { AixgoError } from "./errors.ts";

const MAX_NAME_BYTES = 128;
/** Letters of any script, digits, inner spaces and harmless punctuation; no leading dot or dash, no dot or space at the end. */
const NAME = /^[\p{L}\p{N}_](?:[\p{L}\p{M}\p{N}_. @+,=()[\]~#&!'-]*[\p{L}\p{M}\p{N}_@+,=()[\]~#&!'-])?$/u;
/** Drawn as nothing, so that two different names look the same. */
const INVISIBLE = /\p{Default_Ignorable_Code_Point}/u;
/** Names that Windows gives to devices, with any extension. */
const DEVICE = /^(?:con|prn|aux|nul|clock\$|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:\.|$)/i;

/**
 * A name becomes part of keys and paths in stores, so what would be refused there is refused at registration already.
 * @throws AixgoError `INVALID_INPUT`
 */
export function checkAgentName(name: unknown): asserts name is string {
  if (typeof name !== "string") throw new AixgoError("INVALID_INPUT", `register: an agent's name must be a string, not ${typeof name}`);
  if (name === "" || name.length > MAX_NAME_BYTES || Buffer.byteLength(name) > MAX_NAME_BYTES) {
    throw new AixgoError("INVALID_INPUT", `register: an agent's name must have 1 to ${MAX_NAME_BYTES} bytes`);
  }
  if (!NAME.test(name) || INVISIBLE.test(name) || DEVICE.test(name) || name.normalize("NFC") !== name) {
    throw new AixgoError(
      "INVALID_INPUT",
      `register: ${JSON.stringify(name)} cannot be an agent's name: letters, digits, _ - . and inner spaces are allowed, a leading dot or dash, a trailing dot and names of devices are not`,
    );
  }
}

/** A name as a caller gave it, for messages: short, on one line. */
export function shownName(name: unknown): string {
  return typeof name === "string" ? JSON.stringify(name.length > 128 ? `${name.slice(0, 128)}…` : name) : `of type ${typeof name}`;
}
