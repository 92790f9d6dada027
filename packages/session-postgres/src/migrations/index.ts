import { attachments } from "./attachments.ts";
import { initial } from "./initial.ts";

/** In order; the first one is version 1. Append-only: what has been released is never changed or taken away. */
export const migrations: readonly string[] = [initial, attachments];
