import type { LoadHook } from "node:module";
import type { Patch } from "./breaks.ts";

let patches: readonly Patch[] = [];

/** Given the patches by `register`. */
export function initialize(given: readonly Patch[]): void {
  patches = given;
}

/** Changes the source of `packages/session` as it is loaded. A patch that does not fit is an error: it would break nothing. */
export const load: LoadHook = async (url, context, next) => {
  const loaded = await next(url, context);
  const mine = patches.filter(({ file }) => url.endsWith(`/session/dist/${file}`));
  if (mine.length === 0) return loaded;
  let source = Buffer.from(loaded.source as Uint8Array).toString("utf8");
  for (const { file, from, to } of mine) {
    if (source.split(from).length !== 2) throw new Error(`the patch of ${file} must fit exactly once: ${from}`);
    source = source.replace(from, () => to);
  }
  return { ...loaded, source };
};
