/**
 * Whether an event comes right behind another, with nothing between them that was dropped: as their cursors tell, those of session
 * turns (`life.version.n`) and of stateless calls (`n`) alike.
 *
 * `n` counts what is shown since a message; a message that is stored begins anew and is never dropped.
 */
export function isNext(before: string, cursor: string): boolean {
  const { place, count } = partsOf(cursor);
  const last = partsOf(before);
  return count === last.count + 1 || (count <= 1 && place !== last.place);
}

function partsOf(cursor: string): { readonly place: string; readonly count: number } {
  const dot = cursor.lastIndexOf(".");
  return { place: cursor.slice(0, Math.max(dot, 0)), count: Number(cursor.slice(dot + 1)) };
}
