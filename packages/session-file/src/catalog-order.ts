import type { SessionInfo } from "@aixgo/session/backend";

/** The place of a session in both orders. */
export type After = Pick<SessionInfo, "id" | "updatedAt">;

/** What the catalog knows of one session. Immutable: a change makes a new one. */
export interface Listed {
  readonly info: SessionInfo;
  readonly incarnation: string;
}

type Compare = (a: After, b: After) => number;

const byId: Compare = (a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
const newestFirst: Compare = (a, b) => (a.updatedAt > b.updatedAt ? -1 : a.updatedAt < b.updatedAt ? 1 : byId(b, a));

const COMPARE: Readonly<Record<"id" | "updated", Compare>> = { id: byId, updated: newestFirst };
const ORDERS = Object.entries(COMPARE) as ReadonlyArray<readonly ["id" | "updated", Compare]>;

/** Above this share of changes sorting again is quicker than moving one by one. */
const RESORT_SHARE = 16;

/** Sessions by id, kept in both orders that `list` offers. */
export class CatalogOrder {
  readonly #byId = new Map<string, Listed>();
  /** Made when they are first asked for. */
  readonly #orders: Record<"id" | "updated", Listed[] | undefined> = { id: undefined, updated: undefined };

  get size(): number {
    return this.#byId.size;
  }

  get(id: string): Listed | undefined {
    return this.#byId.get(id);
  }

  /** Sets sessions, or removes those that are undefined. */
  change(changes: ReadonlyMap<string, Listed | undefined>): void {
    if (changes.size === 0) return;
    const resort = changes.size * RESORT_SHARE > this.#byId.size;
    for (const [id, next] of changes) {
      const former = this.#byId.get(id);
      if (next === undefined) this.#byId.delete(id);
      else this.#byId.set(id, next);
      if (resort) continue;
      for (const [name, compare] of ORDERS) {
        const items = this.#orders[name];
        if (items !== undefined) replace(items, compare, former, next);
      }
    }
    if (resort) for (const [name] of ORDERS) this.#orders[name] = undefined;
  }

  /** The sessions behind `after`, in order. */
  *from(name: "id" | "updated", after: After | undefined): Generator<Listed> {
    const compare = COMPARE[name];
    const items = (this.#orders[name] ??= [...this.#byId.values()].sort((a, b) => compare(a.info, b.info)));
    let at = after === undefined ? 0 : place(items, compare, after);
    const first = items[at];
    if (after !== undefined && first !== undefined && compare(first.info, after) === 0) at++;
    for (; at < items.length; at++) yield items[at] as Listed;
  }
}

function replace(items: Listed[], compare: Compare, former: Listed | undefined, next: Listed | undefined): void {
  const from = former === undefined ? -1 : place(items, compare, former.info);
  if (former !== undefined && next !== undefined && compare(former.info, next.info) === 0) {
    items[from] = next;
    return;
  }
  if (former !== undefined) items.splice(from, 1);
  if (next !== undefined) items.splice(place(items, compare, next.info), 0, next);
}

/** Index of the first item that does not come before `key`. */
function place(items: readonly Listed[], compare: Compare, key: After): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare((items[middle] as Listed).info, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
