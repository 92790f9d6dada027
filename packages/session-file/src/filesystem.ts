import { readFileSync, statfsSync } from "node:fs";
import { AixgoError } from "@aixgo/core";

/** `f_type` of statfs(2) on Linux: file systems whose locks, appends or inode numbers cannot be relied on between machines. */
const NETWORK: ReadonlyMap<number, string> = new Map([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xff534d42, "SMB"],
  [0xfe534d42, "SMB"],
  [0x01021997, "9p"],
  [0x5346414f, "AFS"],
  [0x00c36400, "Ceph"],
]);
/** virtiofs reports the number of FUSE: only the table of mounts tells them apart. */
const FUSE = 0x65735546;
const FUSE_NETWORK = /^(?:virtiofs|fuse\.(?:sshfs|s3fs|gcsfuse|rclone|glusterfs|cephfs|nfs.*|davfs.*))$/;

/** Refuses a folder on a file system that does not keep a lock's promises. Recognised on Linux. */
export function assertLocalFilesystem(folder: string, shown: string): void {
  if (process.platform !== "linux") return;
  const type = statfsSync(folder).type;
  const name = networkFilesystem(type, folder, type === FUSE ? readFileSync("/proc/self/mountinfo", "utf8") : "");
  if (name === undefined) return;
  throw new AixgoError(
    "STORE_UNSUPPORTED_FS",
    `the session folder ${shown} lies on ${name}, where file locks cannot be relied on. Use a local disk, Redis or PostgreSQL; or, if only one process opens it, the option singleProcess: true`,
    { details: { filesystem: name } },
  );
}

/** The name of a network file system, given its number and, for FUSE, the text of `/proc/self/mountinfo`. */
export function networkFilesystem(type: number, folder: string, mounts: string): string | undefined {
  // statfs gives a signed number on some systems.
  const unsigned = type < 0 ? type + 2 ** 32 : type;
  if (unsigned !== FUSE) return NETWORK.get(unsigned);
  let best = "";
  let found: string | undefined;
  for (const line of mounts.split("\n")) {
    const fields = line.split(" ");
    const dash = fields.indexOf("-");
    const mount = fields[4]?.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    if (dash < 0 || mount === undefined || mount.length < best.length) continue;
    if (folder !== mount && !folder.startsWith(mount === "/" ? "/" : `${mount}/`)) continue;
    best = mount;
    found = fields[dash + 1];
  }
  return found !== undefined && FUSE_NETWORK.test(found) ? found : undefined;
}
