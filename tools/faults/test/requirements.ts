import { existsSync, rmSync } from "node:fs";
import { ensurePackage, findProgram } from "@aixgo/repository-tools/services/debian-package";
import { whyNoDisk } from "../src/disk.ts";
import { RESULTS } from "../src/result.ts";

/** What the rows need of the system: installed if this process may, otherwise the run fails with the command that does. */
export default async function requirements(): Promise<void> {
  if (!existsSync(new URL("../dist/programs/writer.js", import.meta.url)))
    throw new Error("the fault tests are not built: run npx tsc -b tools/faults");
  rmSync(RESULTS, { recursive: true, force: true });
  if (process.platform !== "linux") return;
  const folders = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
  await ensurePackage("strace", () => findProgram("strace", folders));
  await ensurePackage("util-linux", () => findProgram("prlimit", folders));
  if (whyNoDisk() !== undefined) return;
  await ensurePackage("xfsprogs", () => findProgram("mkfs.xfs", folders));
  await ensurePackage("e2fsprogs", () => findProgram("mkfs.ext4", folders));
  await ensurePackage("perl-base", () => findProgram("perl", folders));
}
