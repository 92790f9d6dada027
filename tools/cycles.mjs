/**
 * One circle of a graph, from its first node back to it, or undefined. Without recursion: a chain of files may be long.
 * @param {ReadonlyMap<string, readonly string[]>} graph @returns {string[] | undefined}
 */
export function findCycle(graph) {
  /** @type {Set<string>} */
  const done = new Set();
  for (const start of graph.keys()) {
    if (done.has(start)) continue;
    const path = [start];
    const onPath = new Set(path);
    const ahead = [[...(graph.get(start) ?? [])]];
    while (path.length > 0) {
      const next = ahead.at(-1)?.pop();
      if (next === undefined) {
        const left = /** @type {string} */ (path.pop());
        ahead.pop();
        onPath.delete(left);
        done.add(left);
      } else if (onPath.has(next)) {
        return [...path.slice(path.indexOf(next)), next];
      } else if (!done.has(next)) {
        path.push(next);
        onPath.add(next);
        ahead.push([...(graph.get(next) ?? [])]);
      }
    }
  }
  return undefined;
}
