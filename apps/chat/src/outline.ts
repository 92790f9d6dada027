import type { Entry, Session } from "@aixgo/session";
import { headSeqOf, memberOf, parentSeqOf } from "./path.ts";
import { shortened } from "./printable.ts";

const MAX_PREVIEW = 60;

/** One entry of a log without its content. */
export interface Node {
  readonly seq: number;
  readonly id: string;
  readonly type: string;
  readonly parent: number;
  /** Seq of the head after it. */
  readonly head: number;
  readonly role: string | undefined;
  /** What it says, on one short line. */
  readonly preview: string;
  /** The id that the message's sender gave it. */
  readonly messageId: string | undefined;
  readonly label: string | undefined;
}

/** The shape of a whole log: every entry, no contents. */
export interface Outline {
  readonly nodes: readonly Node[];
  readonly head: number;
}

export async function readOutline(session: Session): Promise<Outline> {
  const nodes: Node[] = [];
  for await (const entry of session.entries()) nodes.push(nodeOf(entry));
  return { nodes, head: nodes.at(-1)?.head ?? 0 };
}

/** The seqs on the path to the head. */
export function pathOf({ nodes, head }: Outline): ReadonlySet<number> {
  const path = new Set<number>();
  for (let seq = head; seq >= 0; seq = nodes[seq]?.parent ?? -1) path.add(seq);
  return path;
}

/** The full ids that `given` may mean: an exact one alone, else all that begin with it. A checkpoint's label counts as exact. */
export function idsLike(outline: Outline, given: string): readonly string[] {
  const found = new Set<string>();
  for (const node of outline.nodes) {
    if (node.id === given || node.messageId === given) return [given];
    if (node.id.startsWith(given)) found.add(node.id);
    if (node.messageId?.startsWith(given) === true) found.add(node.messageId);
  }
  const labelled = outline.nodes.findLast((node) => node.type === "checkpoint" && node.label === given);
  return labelled === undefined ? [...found] : [labelled.id];
}

function nodeOf(entry: Entry): Node {
  const role = memberOf(entry, "role");
  const label = memberOf(entry, "label");
  const messageId = entry.type === "message" ? memberOf(entry, "id") : undefined;
  return {
    seq: entry.seq,
    id: entry.id,
    type: entry.type,
    parent: parentSeqOf(entry),
    head: headSeqOf(entry),
    role: typeof role === "string" ? role : undefined,
    preview: entry.type === "message" ? previewOf(entry) : "",
    messageId: typeof messageId === "string" ? messageId : undefined,
    label: typeof label === "string" ? label : undefined,
  };
}

function previewOf(entry: Entry): string {
  const parts = memberOf(entry, "parts");
  if (!Array.isArray(parts)) return "";
  return shortened(
    parts
      .map((part: unknown) => {
        const { type, text, toolName } = part as { type?: string; text?: string; toolName?: string };
        if (type === "text") return text ?? "";
        if (type === "tool-call") return `→ ${toolName ?? ""}`;
        return type === "tool-result" ? `← ${toolName ?? ""}` : "";
      })
      .filter((piece) => piece !== "")
      .join(" "),
    MAX_PREVIEW,
  );
}
