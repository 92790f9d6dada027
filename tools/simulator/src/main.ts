import "./virtual-clock.ts";
import { register } from "node:module";
import { parseArgs } from "node:util";
import { BREAKS } from "./breaks.ts";

const values = options();
if (values.break !== undefined) {
  const chosen = BREAKS[values.break];
  if (chosen === undefined) {
    process.stderr.write(`simulator: --break takes one of ${Object.keys(BREAKS).join(", ")}\n`);
    process.exit(2);
  }
  register("./breaking-loader.js", import.meta.url, { data: chosen.patches });
}
// Only now: what it imports must find the virtual clock.
const { simulate } = await import("./simulation.ts");

const from = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.seeds) : 1;
const broken = values.break === undefined ? "" : ` --break ${values.break}`;
if (!Number.isSafeInteger(from) || !Number.isSafeInteger(count) || count < 1) {
  process.stderr.write("simulator: --seeds, --from and --seed take whole numbers\n");
  process.exit(2);
}
const began = performance.now();
let events = 0;
let turns = 0;
let appends = 0;
const failed: number[] = [];
for (let seed = from; seed < from + count; seed += 1) {
  const outcome = await simulate(seed, values.trace ? (line) => process.stdout.write(`${line}\n`) : undefined);
  events += outcome.events;
  turns += outcome.turns;
  appends += outcome.appends;
  if (values.digests) process.stdout.write(`seed ${seed}: digest ${outcome.digest}\n`);
  if (outcome.violations.length === 0) continue;
  failed.push(seed);
  process.stdout.write(
    `seed ${seed}: ${outcome.violations.join("\n  ")}\n  replay: node tools/simulator/dist/main.js --seed ${seed}${broken} --trace\n`,
  );
  if (values["until-violation"] || failed.length >= 20) break;
}
const seconds = ((performance.now() - began) / 1000).toFixed(1);
process.stdout.write(
  `${count} seed${count === 1 ? "" : "s"} from ${from}: ${events} events, ${turns} turns answered, ${appends} appends acknowledged, ${failed.length} with violations (${seconds} s)\n`,
);
if (failed.length > 0) process.exitCode = 1;

function options() {
  try {
    return parseArgs({
      options: {
        seeds: { type: "string", default: "2000" },
        from: { type: "string", default: "1" },
        seed: { type: "string" },
        trace: { type: "boolean", default: false },
        digests: { type: "boolean", default: false },
        break: { type: "string" },
        "until-violation": { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    process.stderr.write(
      `simulator: ${error instanceof Error ? error.message : String(error)}; there are --seeds <number>, --from <number>, --seed <number>, --trace, --digests, --break <name>, --until-violation\n`,
    );
    process.exit(2);
  }
}
