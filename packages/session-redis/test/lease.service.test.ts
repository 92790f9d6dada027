import { envelopeOf } from "@aixgo/session/backend";
import { verifyLog } from "@aixgo/session-testkit";
import { expect, it, onTestFinished } from "vitest";
import { waitFor } from "@aixgo/repository-tools/services/process";
import { startRedis } from "@aixgo/repository-tools/services/redis";
import { child } from "./support/children.ts";
import { newPrefix, opened, started } from "./support/sessions.ts";

const LONG = process.env["AIXGO_LONG"] === "1";
const HAND_OVERS = LONG ? 1_000 : 60;
const STOPPED = LONG ? 50 : 6;
const STOP_EVERY = 10;
const WORKERS = 3;
const TTL_MS = 150;

it(`of ${HAND_OVERS} hand-overs of a lease between processes, ${STOPPED} from one that was stopped, none lets two turns run at once`, async () => {
  const redis = await startRedis();
  onTestFinished(() => redis.stop());
  const prefix = newPrefix();
  const backend = opened({ url: redis.url, keyPrefix: prefix });
  const { ref } = await started(backend);

  /** Who took which fence, in the order in which the store gave them. */
  const holders = new Map<number, number>();
  const stops: { readonly worker: number; readonly fence: number }[] = [];
  const workers = Array.from({ length: WORKERS }, (_, w) =>
    child("lease-worker.ts", [redis.url, prefix, ref.id, `worker-${w}`, String(TTL_MS), String(STOP_EVERY)], (line) => {
      const [verb, what] = line.split(" ");
      if (verb === "took") holders.set(Number(what), w);
      if (verb === "stops") stops.push({ worker: w, fence: Number(what) });
    }),
  );
  const handOvers = (): number => {
    const order = [...holders].toSorted(([a], [b]) => a - b).map(([, w]) => w);
    return order.filter((w, i) => i > 0 && w !== order[i - 1]).length;
  };
  // A stopped one is woken when another has taken its lease, and has begun to write.
  let woken = 0;
  await waitFor(
    "hand-overs go on",
    async () => {
      const next = stops[woken];
      if (next !== undefined && (holders.has(next.fence + 1) || holders.has(next.fence + 2))) {
        workers[next.worker]?.signal("SIGCONT");
        woken += 1;
      }
      return woken >= STOPPED && handOvers() >= HAND_OVERS;
    },
    { patienceMs: LONG ? 500_000 : 100_000, everyMs: 2 },
  );
  for (const worker of workers) worker.finish();
  // One that is stopped hears nothing; one that stops itself only now must not be waited for.
  await waitFor(
    "all workers have ended",
    async () => {
      for (const worker of workers) worker.signal("SIGCONT");
      return (
        (await Promise.race([
          Promise.all(workers.map(({ ended }) => ended)),
          new Promise((resolve) => setTimeout(resolve, 50, "late")),
        ])) !== "late"
      );
    },
    { patienceMs: 30_000 },
  );

  const { lines } = await verifyLog(backend, await backend.head(ref.id));
  const entries = lines.map((line) => envelopeOf(line));
  // Between the start of a turn and the next start there is nothing of another fence, and fences rise by one.
  const fences: number[] = [];
  for (const { type, fence, op, turn: start, seq } of entries.slice(1)) {
    if (type === "turn" && start === seq) fences.push(fence as number);
    expect(fence).toBe(fences.at(-1));
    if (op !== undefined && type === "message") expect(op.startsWith(`${fence}.`)).toBe(true);
  }
  expect(fences).toEqual(fences.map((_, i) => i + 1));
  const found = new Map<string, number>();
  for (const { op, type } of entries) if (type === "message" && op !== undefined) found.set(op, (found.get(op) ?? 0) + 1);
  const said = workers.flatMap((worker) => worker.said);
  const wrote = said.filter((line) => line.startsWith("wrote ")).map((line) => line.slice("wrote ".length));
  expect(wrote.filter((op) => found.get(op) !== 1)).toEqual([]);
  // Every one that was stopped was refused, and nothing of what it tried afterwards is there.
  for (const { fence, worker } of stops.slice(0, woken)) {
    expect(workers[worker]?.said).toContain(`fenced ${fence}`);
    expect([found.has(`${fence}.0`), found.has(`${fence}.1`)]).toEqual([false, false]);
  }
  expect(woken).toBeGreaterThanOrEqual(STOPPED);
  expect(handOvers()).toBeGreaterThanOrEqual(HAND_OVERS);
}, 600_000);
