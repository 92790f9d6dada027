import type { Results, Run } from "../results.ts";
import { appendCurves, growthChart, marginChart, readBars } from "./charts.ts";
import { curveTable, gapList, groupTables } from "./floor-tables.ts";
import { contestTables, missingList } from "./peer-tables.ts";
import { svgOf } from "./svg.ts";

/** The folder of the charts, beside the document. */
export const CHARTS = "benchmarks";

/** All files of the document, by their path in docs/. The same results give the same bytes. */
export async function documentOf({ floors, peers }: Results): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  const text: string[] = [INTRODUCTION];

  async function chart(name: string, alt: string, spec: Parameters<typeof svgOf>[0]): Promise<void> {
    files.set(`${CHARTS}/${name}.svg`, await svgOf(spec));
    text.push(`![${alt}](${CHARTS}/${name}.svg)`);
  }

  if (floors !== undefined) {
    const { run, findings } = floors;
    text.push("## Beside the floor", `Measured with \`npm run bench\` ${shown(run)}.`);
    const rows = findings.filter((each) => each.kind === "row");
    const asked = rows.filter(({ met }) => met !== undefined);
    const missed = asked.filter(({ met }) => met === false);
    text.push(
      `${asked.length - missed.length} of ${asked.length} targets are met${missed.length === 0 ? "." : `; missed are ${missed.map(({ id }) => `\`${id}\``).join(", ")}.`}`,
    );
    text.push(...gapList(missed));
    await chart("targets", "Each row's cost as a share of what its target allows", marginChart(rows));
    text.push(...groupTables(rows));
    const curves = findings.filter((each) => each.kind === "curve");
    if (curves.length > 0) {
      text.push("### As it grows");
      await chart("growth", "Our operations over the messages in a session and the sessions in a store", growthChart(curves));
      text.push(...curves.map(curveTable));
    }
  }
  if (peers !== undefined) {
    const { run, contests, missing } = peers;
    text.push("## Beside others", PEERS, `Measured with \`npm run bench:peers\` ${shown(run)}.`);
    await chart("peers-append", "Appending one message to conversations of 10, 100 and 1,000 messages", appendCurves(contests));
    await chart("peers-read", "Loading, resuming, checkpoints, lists and space", readBars(contests));
    text.push(...contestTables(contests), ...missingList(missing));
  }
  files.set("benchmarks.md", `${text.join("\n\n")}\n`);
  return files;
}

function shown({ date, node, system, processors, memoryGiB }: Run): string {
  return `on ${date}: ${processors}, ${memoryGiB} GiB, ${system}, Node ${node.slice(1)}`;
}

const INTRODUCTION = `# Benchmarks

<!-- Made from bench/results.json by npm run bench:docs. Changes made here are lost. -->

What sessions cost, beside the least that the same work costs here (the floor), and beside other stores of conversations.

\`\`\`sh
npm run bench          # beside the floor, a few minutes; also: npm run bench -- append redis
npm run bench:peers    # beside others, which it installs into bench/peers
npm run bench:docs     # this page, from bench/results.json
\`\`\`

Contenders and floor run in turn, call by call, in one process, after a round that does not count. So the **ratio** of the medians of one run means something on a busy machine, too; the times alone do not. What each row does is in \`bench/src\`, how to read it in \`bench/README.md\`.`;

const PEERS = `All messages have 200 characters. Every contender keeps them in its own form and does what its own users would have it do; where it could be done in more than one way, the quicker one was taken: LangGraph's checkpointers are called directly, without a graph, and its SQLite saver runs on libsql, whose binary comes with npm. What an acknowledged message survives is said for each, since it is most of the price.`;
