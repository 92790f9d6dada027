import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export type Filesystem = "ext4" | "xfs";

/** The least that mkfs.xfs takes; the file is sparse. */
const IMAGE_BYTES = 320 * 1024 * 1024;
/**
 * FS_IOC_SHUTDOWN with FS_GOING_FLAGS_NOLOGFLUSH: from this moment nothing reaches the disk, not even what the file system has
 * in its journal's memory. Node has no ioctl; perl is part of every Debian.
 */
const SHUTDOWN = `open(my $f, "<", $ARGV[0]) or die "open: $!"; my $flags = pack("L", 2); ioctl($f, 0x8004587d, $flags) or die "ioctl: $!";`;

/** A file system of its own in a file, whose power can be cut. */
export interface Disk {
  /** Where it is mounted. */
  readonly path: string;
  cutPower(): void;
  /** Mounts it again, as a boot after the cut does. Nobody may have a file of it open. */
  boot(): void;
  dispose(): void;
}

function run(program: string, ...args: string[]): void {
  execFileSync(program, args, { stdio: ["ignore", "pipe", "pipe"], timeout: 60_000 });
}

export function makeDisk(filesystem: Filesystem): Disk {
  const folder = mkdtempSync(join(tmpdir(), `aixgo-${filesystem}-`));
  const image = join(folder, "image");
  const path = join(folder, "mount");
  writeFileSync(image, "");
  truncateSync(image, IMAGE_BYTES);
  mkdirSync(path);
  if (filesystem === "ext4") run("mkfs.ext4", "-q", "-F", image);
  else run("mkfs.xfs", "-q", image);
  const mount = (): void => run("mount", "-o", "loop", image, path);
  const dispose = (): void => {
    try {
      run("umount", "-l", path);
    } catch {
      // It is not mounted.
    }
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    mount();
  } catch (error) {
    dispose();
    throw error;
  }
  return {
    path,
    cutPower: () => run("perl", "-e", SHUTDOWN, path),
    boot() {
      run("umount", path);
      mount();
    },
    dispose,
  };
}

/** Undefined, or why this machine cannot mount a file system of its own. */
export function whyNoDisk(): string | undefined {
  if (process.platform !== "linux") return "mounting file systems needs Linux";
  if (process.getuid?.() !== 0) return "mounting file systems needs root";
  const probe = mkdtempSync(join(tmpdir(), "aixgo-mount-"));
  try {
    run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", probe);
    run("umount", probe);
    return undefined;
  } catch {
    return "this root may not mount file systems";
  } finally {
    rmSync(probe, { recursive: true, force: true });
  }
}
