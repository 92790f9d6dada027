import { createHash } from "node:crypto";
import type { Ref, SessionBackend } from "@aixgo/session/backend";
import { blobsOf } from "./offers.ts";

export function digestOf(bytes: Uint8Array): string {
  return `sha256-${createHash("sha256").update(bytes).digest("hex")}`;
}

/** Bytes made of a text, and their digest. */
export function blobOf(text: string): { readonly bytes: Buffer; readonly digest: string } {
  const bytes = Buffer.from(text);
  return { bytes, digest: digestOf(bytes) };
}

export async function readBlob(backend: SessionBackend, ref: Ref, digest: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of blobsOf(backend).get(ref, digest)) chunks.push(Uint8Array.from(chunk));
  return Buffer.concat(chunks);
}
