import type { FilePart } from "@aixgo/core";
import type { ModelFileData, SpecificationVersion } from "./model.ts";

export type FileAddress = { readonly base64: string } | { readonly url: URL } | { readonly refused: string };

/** What a file part's address is to a model; only `data:` and `https:` can be sent. */
export function readAddress(part: FilePart): FileAddress {
  const { url } = part;
  const scheme = /^[a-z][a-z0-9+.-]{0,31}:/i.exec(typeof url === "string" ? url.slice(0, 33) : "")?.[0].toLowerCase();
  if (scheme === "data:") return readDataUrl(url);
  if (scheme === "https:") return URL.canParse(url) ? { url: new URL(url) } : { refused: "its https: address is malformed" };
  if (scheme === "attachment:")
    return { refused: "this attachment is lost or larger than agents are given (8 MiB); use an https: address" };
  return { refused: `its address must be data: or https:${scheme === undefined ? "" : `, not ${scheme}`}` };
}

/** `data:[type][;parameters][;base64],content` (RFC 2397). */
function readDataUrl(url: string): FileAddress {
  const comma = url.indexOf(",");
  if (comma < 0) return { refused: "its data: address is malformed" };
  const content = url.slice(comma + 1);
  const isBase64 = /;\s*base64$/i.test(url.slice(Math.max(0, comma - 16), comma));
  try {
    const decoded = content.includes("%") ? decodeURIComponent(content) : content;
    return { base64: isBase64 ? decoded : Buffer.from(decoded).toString("base64") };
  } catch {
    return { refused: "its data: address is malformed" };
  }
}

export function fileData(address: Exclude<FileAddress, { readonly refused: string }>, version: SpecificationVersion): ModelFileData {
  if (version === "v3") return "url" in address ? address.url : address.base64;
  return "url" in address ? { type: "url", url: address.url } : { type: "data", data: address.base64 };
}
