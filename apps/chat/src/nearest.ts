/** The candidate that is at most two slips of the finger away from `word`, or that it begins. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  if (word === "" || word.length > 30) return undefined;
  const started = candidates.find((candidate) => candidate.startsWith(word));
  if (started !== undefined) return started;
  const ranked = candidates.map((candidate) => ({ candidate, slips: slipsBetween(word, candidate) })).sort((a, b) => a.slips - b.slips);
  return ranked[0] !== undefined && ranked[0].slips <= 2 ? ranked[0].candidate : undefined;
}

/** Levenshtein's distance, one row at a time. */
function slipsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
}
