import { type Node, type Outline, pathOf } from "./outline.ts";
import { shortened } from "./printable.ts";
import type { Style } from "./style.ts";

/** What people see of an id; enough to tell entries of one session apart. */
export const SHORT_ID = 8;

/**
 * Draws a log as a tree: each message that a person or the agent said is a line, a branch is indented under the message it
 * grew from, the path that is in use is marked. Tool steps are left out. Loops, not recursion: a chat may be long.
 */
export function drawTree(outline: Outline, style: Style): readonly string[] {
  const { nodes } = outline;
  const path = pathOf(outline);
  const shown = nodes.filter(
    (node) => node.type === "message" && (node.role === "user" || node.role === "assistant") && !node.preview.startsWith("→"),
  );
  const visible = new Set(shown.map(({ seq }) => seq));
  const children = new Map<number, Node[]>();
  for (const node of shown) {
    const parent = visibleAbove(nodes, visible, node.parent);
    children.set(parent, [...(children.get(parent) ?? []), node]);
  }
  const marks = marksOf(outline, visible);
  const lines = [`${style.dim("○")} the beginning${marks.get(-1) ?? ""}`];
  // Each branch's last child goes on in its column; the others are drawn before it, one column to the right.
  const stack = [...branchesOf(-1, "")].reverse();
  for (let item = stack.pop(); item !== undefined; item = stack.pop()) {
    const { node, indent, joint } = item;
    const inUse = path.has(node.seq);
    const who = node.role === "user" ? "you" : "agent";
    const text = `${who}: ${node.preview}`;
    lines.push(
      `${style.dim(indent + joint)}${inUse ? style.mark("●") : style.dim("○")} ${inUse ? text : style.dim(text)} ${style.dim(node.id.slice(0, SHORT_ID))}${marks.get(node.seq) ?? ""}`,
    );
    stack.push(...[...branchesOf(node.seq, joint === "" ? indent : `${indent}│ `)].reverse());
  }
  return lines;

  function* branchesOf(parent: number, indent: string): Generator<{ node: Node; indent: string; joint: string }> {
    const branches = children.get(parent) ?? [];
    for (const [index, node] of branches.entries()) yield { node, indent, joint: index < branches.length - 1 ? "├─" : "" };
  }

  function marksOf({ head }: Outline, seen: ReadonlySet<number>): ReadonlyMap<number, string> {
    const texts = new Map<number, string>();
    const add = (seq: number, text: string): void => {
      const at = visibleAbove(nodes, seen, seq);
      texts.set(at, (texts.get(at) ?? "") + text);
    };
    for (const node of nodes) {
      if (node.type === "checkpoint")
        add(node.head, style.warning(`  ⚑ ${shortened(node.label ?? "checkpoint", 30)} ${node.id.slice(0, SHORT_ID)}`));
    }
    add(head, style.mark("  ← here"));
    return texts;
  }
}

/** The nearest entry at or above `seq` that is drawn; -1: none. */
function visibleAbove(nodes: readonly Node[], visible: ReadonlySet<number>, seq: number): number {
  let at = seq;
  while (at >= 0 && !visible.has(at)) at = nodes[at]?.parent ?? -1;
  return at;
}
