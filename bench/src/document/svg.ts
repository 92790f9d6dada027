import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";

/** A chart as text. The same specification gives the same text: nothing is measured, animated or drawn at random. */
export async function svgOf(spec: TopLevelSpec): Promise<string> {
  const view = new View(parse(compile(spec).spec), { renderer: "none" });
  try {
    return `${await view.toSVG()}\n`;
  } finally {
    view.finalize();
  }
}
