const BASE64 = /;[\t\n\f\r ]*base64[\t\n\f\r ]*$/i;
const BASE64_TEXT = /^[A-Za-z0-9+/]*={0,2}$/;

/**
 * The bytes of a `data:` address (RFC 2397), if there are more than `aboveBytes`. Undefined if there are not, or if they
 * cannot be told without doubt: such an address is better left as it is.
 */
export function bytesOfDataUrl(url: string, aboveBytes: number): Buffer | undefined {
  // A byte takes at least one character.
  if (url.length <= aboveBytes || url.slice(0, 5).toLowerCase() !== "data:") return undefined;
  const comma = url.indexOf(",");
  if (comma < 0) return undefined;
  const bytes = BASE64.test(url.slice(5, comma)) ? fromBase64(url.slice(comma + 1)) : fromPercent(url.slice(comma + 1));
  return bytes !== undefined && bytes.length > aboveBytes ? bytes : undefined;
}

function fromBase64(content: string): Buffer | undefined {
  let text = content;
  if (text.includes("%")) {
    try {
      text = decodeURIComponent(text);
    } catch {
      return undefined;
    }
  }
  if (!BASE64_TEXT.test(text)) text = text.replaceAll(/[\t\n\f\r ]/g, "");
  if (!BASE64_TEXT.test(text)) return undefined;
  const bytes = Buffer.from(text, "base64");
  // Lost bits in the last character, or a length that no bytes have: not what was given.
  return bytes.toString("base64").replace(/=+$/, "") === text.replace(/=+$/, "") ? bytes : undefined;
}

function fromPercent(content: string): Buffer | undefined {
  const bytes = Buffer.from(content, "utf8");
  if (!content.includes("%")) return bytes;
  let length = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    if (bytes[at] === 0x25) {
      const value = Number.parseInt(bytes.toString("latin1", at + 1, at + 3), 16);
      if (!/^[0-9a-f]{2}$/i.test(bytes.toString("latin1", at + 1, at + 3))) return undefined;
      bytes[length] = value;
      at += 2;
    } else bytes[length] = bytes[at] as number;
    length += 1;
  }
  return bytes.subarray(0, length);
}
