import { execFileSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { startPostgres } from "@aixgo/repository-tools/services/postgres";
import { barePostgres } from "./contenders/bare-postgres.ts";
import type { Contender } from "./contenders/contender.ts";
import type { Contest } from "./contenders/contest.ts";
import { inFiles, inMemory, inPostgres, onDisk } from "./contenders/ours.ts";
import { plainFile, syncedFile } from "./contenders/plain-file.ts";
import { appends, checkpoints, contest, lists, loads, resumes, space, type Where } from "./contests.ts";
import { writeDocument } from "./document/write.ts";
import { keepResults, type Missing, thisRun } from "./results.ts";
import { contestTable } from "./table.ts";

/** What `bench/peers` exports; it is compiled after it has been installed, which only this command does. */
interface Peers {
  readonly notSynced: readonly Contender[];
  readonly synced: readonly Contender[];
  readonly onPostgres: (url: string) => readonly Contender[];
}

const PEERS = fileURLToPath(new URL("../peers/", import.meta.url));
const NOT_SYNCED: Where = { kind: "not-synced", where: ", not synced" };
const SYNCED: Where = { kind: "synced", where: ", synced" };
const LOCAL: Where = { kind: "local", where: "" };
const POSTGRES: Where = { kind: "postgres", where: ", PostgreSQL" };
const SIZES = [10, 100, 1000];

install();
const { peers } = (await import(new URL("../peers/dist/index.js", import.meta.url).href)) as { readonly peers: Peers };
const contests: Contest[] = [];
const missing: Missing[] = [];

const local: readonly Contender[] = [plainFile, inFiles, inMemory, ...peers.notSynced];
const synced: readonly Contender[] = [syncedFile, onDisk, ...peers.synced];
for (const discipline of [
  ...appends(NOT_SYNCED, SIZES),
  loads(LOCAL, 100),
  resumes(LOCAL, 10_000),
  ...checkpoints(NOT_SYNCED, [100, 1000]),
  lists(10_000, 50),
])
  await run(discipline.what, () => contest(discipline, local, missing));
await run("bytes stored", () => space(1000, local, missing));
for (const discipline of appends(SYNCED, SIZES)) await run(discipline.what, () => contest(discipline, synced, missing));

const server = await startPostgres();
try {
  const onServer: readonly Contender[] = [barePostgres(server.url), inPostgres(server.url), ...peers.onPostgres(server.url)];
  for (const discipline of [
    ...appends(POSTGRES, SIZES),
    loads(POSTGRES, 100),
    resumes(POSTGRES, 10_000),
    ...checkpoints(POSTGRES, [100, 1000]),
  ])
    await run(discipline.what, () => contest(discipline, onServer, missing));
} finally {
  await server.stop();
}

for (const { name, reason } of missing) process.stdout.write(`not measured: ${name}: ${reason}\n`);
keepResults({ peers: { run: thisRun(), contests, missing } });
await writeDocument();

async function run(what: string, measure: () => Promise<Contest>): Promise<void> {
  process.stderr.write(`${what} …\n`);
  const found = await measure();
  contests.push(found);
  process.stdout.write(`${contestTable(found)}\n\n`);
}

/** Installs what the lock file names, into its own folder, and compiles what adapts it. Again only when the lock file is newer. */
function install(): void {
  const installed = join(PEERS, "node_modules", ".package-lock.json");
  if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(join(PEERS, "package-lock.json")).mtimeMs) {
    process.stderr.write("installing the peers into bench/peers (once, about 400 MB)\n");
    execFileSync("npm", ["ci", "--loglevel=error"], {
      cwd: PEERS,
      stdio: ["ignore", "ignore", "inherit"],
      shell: process.platform === "win32",
    });
  }
  const require = createRequire(import.meta.url);
  const tsc = join(dirname(require.resolve("typescript/package.json")), "bin", "tsc");
  execFileSync(process.execPath, [tsc, "-b", PEERS], { stdio: "inherit" });
}
