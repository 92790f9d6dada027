import { homedir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createFileBackend, type FileBackendOptions } from "../src/index.ts";
import { networkFilesystem } from "../src/filesystem.ts";
import { descriptorBudget } from "../src/open-logs.ts";
import { resolveOptions } from "../src/options.ts";

describe("options", () => {
  it.each([
    [{ baseDirectory: "x" }, "baseDirectory"],
    [{ baseDir: "" }, "baseDir"],
    [{ durability: "memory" }, "durability"],
    [{ lockTimeoutMs: 0 }, "lockTimeoutMs"],
    [{ lockTimeoutMs: Number.NaN }, "lockTimeoutMs"],
    [{ singleProcess: "yes" }, "singleProcess"],
    [{ indexedMetadata: [1] }, "indexedMetadata"],
    [{ maxLineBytes: 10 }, "maxLineBytes"],
  ])("%j is refused by name", (options, name) => {
    expect(() => createFileBackend(options as unknown as FileBackendOptions)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(name) }),
    );
  });

  it("have defaults, and ~ is the home folder", () => {
    expect(resolveOptions()).toMatchObject({
      baseDir: join(homedir(), ".aixgo", "sessions"),
      durability: "disk",
      singleProcess: false,
      maxLineBytes: 16 * 1024 * 1024,
    });
    expect(resolveOptions({ baseDir: "relative" }).baseDir).toBe(join(process.cwd(), "relative"));
    expect(createFileBackend({ singleProcess: true }).capabilities).toMatchObject({ sharedBy: "process", durability: "disk" });
  });
});

it("network file systems are told by their number, virtiofs by the table of mounts", () => {
  expect(networkFilesystem(0x6969, "/x", "")).toBe("NFS");
  expect(networkFilesystem(-11317950, "/x", "")).toBe("SMB");
  expect(networkFilesystem(0x01021997, "/x", "")).toBe("9p");
  expect(networkFilesystem(0xef53, "/x", "")).toBeUndefined();
  const mounts = [
    "20 1 0:1 / / rw - ext4 /dev/vda rw",
    "21 20 0:2 / /mnt/a\\040b rw shared:1 - virtiofs tag rw",
    "22 20 0:3 / /mnt rw - fuse.sshfs host rw",
    "23 20 0:4 / /over rw - fuse.overlay x rw",
  ].join("\n");
  expect(networkFilesystem(0x65735546, "/mnt/a b/store", mounts)).toBe("virtiofs");
  expect(networkFilesystem(0x65735546, "/mnt/other", mounts)).toBe("fuse.sshfs");
  expect(networkFilesystem(0x65735546, "/over/x", mounts)).toBeUndefined();
});

it("descriptors take at most a quarter of what the process may open", () => {
  for (const limit of [64, 256, 1024, 4096, 65_536, 1_048_576]) {
    const { logs, stripes } = descriptorBudget(limit);
    expect(2 * logs + stripes).toBeLessThanOrEqual(limit / 4);
    expect(logs).toBeLessThanOrEqual(512);
  }
  expect(descriptorBudget(1_048_576)).toEqual({ logs: 512, stripes: 256 });
});
