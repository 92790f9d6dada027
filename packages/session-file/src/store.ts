import { fstatSync, lstatSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Blobs, createBlobs } from "./blobs.ts";
import { createCatalog, type Catalog } from "./catalog.ts";
import { createCreation } from "./creation.ts";
import { Draft, syncFolder } from "./durable.ts";
import { assertLocalFilesystem } from "./filesystem.ts";
import { storeError } from "./fs-errors.ts";
import { createJournal, type Journal } from "./journal.ts";
import { createKeys, type Keys } from "./keys.ts";
import { createLayout, makeStore, type Layout } from "./layout.ts";
import { createOpenLogs, descriptorBudget, type OpenLogs } from "./open-logs.ts";
import type { ResolvedOptions } from "./options.ts";
import { createPages, type Pages } from "./pages.ts";
import { agentFolders, createSessionIndex, type SessionIndex } from "./session-index.ts";
import { createStripes, type Stripes } from "./stripes.ts";
import { createTombstones, type Tombstones } from "./tombstones.ts";
import { createWatchers, type Watchers } from "./watchers.ts";

/** Drafts older than this belong to no call that still runs. */
const DRAFT_LIFE_MS = 3_600_000;

/** The parts of an open store. */
export interface Store {
  readonly durable: boolean;
  readonly maxLineBytes: number;
  readonly layout: Layout;
  readonly stripes: Stripes;
  readonly index: SessionIndex;
  readonly tombstones: Tombstones;
  readonly logs: OpenLogs;
  readonly catalog: Catalog;
  readonly journal: Journal;
  readonly pages: Pages;
  readonly keys: Keys;
  readonly blobs: Blobs;
  readonly watchers: Watchers;
  /** Names of the agents' folders. */
  folders(): string[];
  readonly create: ReturnType<typeof createCreation>;
}

/** Makes or checks the folders, and puts the parts together. */
export async function openStore(options: ResolvedOptions): Promise<Store> {
  const layout = createLayout(options.baseDir, options.shownBaseDir);
  const durable = options.durability === "disk";
  try {
    const made = makeStore(layout);
    if (!options.singleProcess) assertLocalFilesystem(layout.baseDir, layout.shown);
    if (durable) for (const folder of made) await syncFolder(dirname(folder));
    sweepDrafts(layout);
  } catch (error) {
    throw storeError(error, `open the session folder ${layout.shown}`);
  }
  const budget = descriptorBudget();
  const stripes = createStripes(layout.part("locks"), {
    lockTimeoutMs: options.lockTimeoutMs,
    singleProcess: options.singleProcess,
    maxOpen: budget.stripes,
  });
  try {
    const index = createSessionIndex(layout, stripes);
    const tombstones = createTombstones(layout);
    const catalog = createCatalog(layout, stripes, tombstones, options.indexedMetadata);
    await catalog.open();
    await index.complete();
    const logs = createOpenLogs({ layout, stripes, index, tombstones, durable, maxLineBytes: options.maxLineBytes, maxOpen: budget.logs });
    const journal = createJournal({ layout, stripes, logs, catalog, durable, maxLineBytes: options.maxLineBytes });
    const keys = createKeys(layout, stripes, durable);
    const create = createCreation({
      layout,
      stripes,
      index,
      tombstones,
      logs,
      journal,
      keys,
      catalog,
      durable,
      maxLineBytes: options.maxLineBytes,
    });
    return {
      durable,
      maxLineBytes: options.maxLineBytes,
      layout,
      stripes,
      index,
      tombstones,
      logs,
      catalog,
      journal,
      pages: createPages(journal, layout, stripes),
      keys,
      blobs: createBlobs({ layout, journal, durable }),
      watchers: createWatchers(),
      folders: () => agentFolders(layout),
      create,
    };
  } catch (error) {
    stripes.close();
    throw error;
  }
}

/** What a process that was killed left without a name. */
function sweepDrafts(layout: Layout): void {
  const folder = layout.part("drafts");
  const names = readdirSync(folder);
  if (names.length === 0) return;
  const now = timeOfFiles(folder);
  for (const name of names) {
    const path = join(folder, name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat !== undefined && now - stat.mtimeMs > DRAFT_LIFE_MS) rmSync(path, { recursive: true, force: true });
  }
}

/** By the clock that files get their times from: by one that is ahead of it, what others are writing would be old. */
function timeOfFiles(folder: string): number {
  const probe = new Draft(folder);
  try {
    return fstatSync(probe.fd).mtimeMs;
  } finally {
    probe.discard();
  }
}
