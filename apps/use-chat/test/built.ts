import { existsSync } from "node:fs";

/** The tests run the built program, as people do. */
export default function assertBuilt(): void {
  if (!existsSync(new URL("../dist/main.js", import.meta.url))) throw new Error("apps/use-chat is not built: run npx tsc -b apps/use-chat");
}
