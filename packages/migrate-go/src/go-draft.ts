import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, lstat, mkdir, open, readdir, realpath, rename, rm, rmdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { AixgoError, isAixgoError } from "@aixgo/core";
import { GO_CHECKPOINTS, GO_INDEX, type GoCheckpoint, type GoIndexEntry, goJsonIndented } from "./go-format.ts";
import { reasonOf } from "./go-store.ts";
import { shown } from "./notes.ts";

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

/** A Go store that is being written: beside the place where it will stand, so that it is there whole or not at all. */
export interface GoDraft {
  /** Writes one session; `fill` writes its lines. What a failing `fill` has written is removed. */
  add(
    agentName: string,
    goId: string,
    fill: (
      write: (line: string) => Promise<void>,
    ) => Promise<{ readonly meta: GoIndexEntry; readonly checkpoints: readonly GoCheckpoint[] }>,
  ): Promise<void>;
  /** Writes the indexes and puts the store in its place. */
  publish(): Promise<void>;
  /** Removes it, unless it was published. */
  discard(): Promise<void>;
}

/** Throws `INVALID_OPTION` if `to` is there and not empty, or cannot be put in its place. */
export async function createGoDraft(to: string): Promise<GoDraft> {
  const target = await placeOf(to);
  await assertEmpty(target, to);
  const folder = join(dirname(target), `.${basename(target)}.partial-${randomBytes(6).toString("hex")}`);
  await writing(async () => {
    await mkdir(dirname(target), { recursive: true, mode: FOLDER_MODE });
    await mkdir(folder, { mode: FOLDER_MODE });
  });
  const agents = new Set<string>();
  const indexes = new Map<string, Map<string, GoIndexEntry>>();
  return {
    add: (agentName, goId, fill) =>
      writing(async () => {
        const path = join(folder, agentName);
        const isNew = (await mkdir(path, { recursive: true, mode: FOLDER_MODE })) !== undefined;
        if (isNew) agents.add(agentName);
        else if (!agents.has(agentName))
          throw new AixgoError(
            "INVALID_INPUT",
            `this file system takes the agent name ${shown(agentName)} for that of another agent: export them one by one (agent)`,
          );
        const file = join(path, `${goId}.jsonl`);
        const lines = new LineFile(file);
        let done: Awaited<ReturnType<typeof fill>>;
        try {
          done = await fill((line) => lines.write(line));
          await lines.close();
        } catch (error) {
          await lines.close();
          await rm(file, { force: true });
          throw error;
        }
        for (const checkpoint of done.checkpoints) {
          await mkdir(join(path, GO_CHECKPOINTS), { recursive: true, mode: FOLDER_MODE });
          await writeWhole(join(path, GO_CHECKPOINTS, `${checkpoint.id}.json`), goJsonIndented(checkpoint));
        }
        const index = indexes.get(agentName) ?? new Map<string, GoIndexEntry>();
        indexes.set(agentName, index.set(goId, done.meta));
      }),
    publish: () =>
      writing(async () => {
        for (const [agentName, index] of indexes) {
          const sorted = [...index].sort(([a], [b]) => (a < b ? -1 : 1));
          await writeWhole(join(folder, agentName, GO_INDEX), goJsonIndented(Object.fromEntries(sorted)));
        }
        await assertEmpty(target, to);
        // An empty folder makes room; one that was filled meanwhile does not.
        await rmdir(target).catch((error: unknown) => {
          const { code } = error as NodeJS.ErrnoException;
          if (code === "EBUSY") throw isMount(to);
          if (code !== "ENOENT") throw notEmpty(to);
        });
        await rename(folder, target);
      }),
    async discard() {
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** What the disk refuses becomes an error of ours, without a path. */
async function writing<T>(body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    if (!(error instanceof Error && "syscall" in error)) throw error;
    throw new AixgoError("BACKEND_UNAVAILABLE", `the Go store cannot be written: ${reasonOf(error)}`, { cause: error });
  }
}

/** The Go release makes the file with the first entry. */
class LineFile {
  readonly #path: string;
  #handle: FileHandle | undefined;
  #pending: string[] = [];
  #length = 0;

  constructor(path: string) {
    this.#path = path;
  }

  async write(line: string): Promise<void> {
    this.#pending.push(line, "\n");
    this.#length += line.length;
    if (this.#length > 256 * 1024) await this.#flush();
  }

  async close(): Promise<void> {
    try {
      await this.#flush();
      await this.#handle?.sync();
    } finally {
      await this.#handle?.close();
      this.#handle = undefined;
    }
  }

  async #flush(): Promise<void> {
    if (this.#pending.length === 0) return;
    this.#handle ??= await open(this.#path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, FILE_MODE);
    const text = this.#pending.join("");
    this.#pending = [];
    this.#length = 0;
    await this.#handle.appendFile(text);
  }
}

async function writeWhole(path: string, text: string): Promise<void> {
  const handle = await open(path, "wx", FILE_MODE);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Where the folder itself lies: behind a link the link stays. */
async function placeOf(to: string): Promise<string> {
  const given = resolve(to);
  try {
    const target = await realpath(given);
    if ((await stat(target)).dev !== (await stat(dirname(target))).dev) throw isMount(to);
    return target;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
      if (isAixgoError(error)) throw error;
      throw cannotBe(to, error);
    }
  }
  const link = await lstat(given).catch(() => undefined);
  if (link !== undefined) throw new AixgoError("INVALID_OPTION", `to: ${shown(to)} is a link to nothing; give the folder itself`);
  return given;
}

async function assertEmpty(path: string, given: string): Promise<void> {
  let names: readonly string[];
  try {
    names = await readdir(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw cannotBe(given, error);
  }
  if (names.length > 0) throw notEmpty(given);
}

function cannotBe(given: string, cause: unknown): AixgoError {
  return new AixgoError("INVALID_OPTION", `to: ${shown(given)} cannot be a folder (${reasonOf(cause)})`, { cause });
}

function isMount(given: string): AixgoError {
  return new AixgoError(
    "INVALID_OPTION",
    `to: the folder ${shown(given)} is a mount point, which cannot be replaced; give a folder inside of it`,
  );
}

function notEmpty(given: string): AixgoError {
  return new AixgoError(
    "INVALID_OPTION",
    `to: the folder ${shown(given)} is not empty; give a new one, an export never writes over anything`,
  );
}
