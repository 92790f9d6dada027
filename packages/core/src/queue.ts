export interface Queue<T> {
  readonly size: number;
  push(item: T): void;
  shift(): T | undefined;
  /** Answers how many there were. */
  clear(): number;
}

/** First in, first out; what was taken is let go in halves, so that no step costs in proportion to what waits. */
export function createQueue<T>(): Queue<T> {
  let items: T[] = [];
  let next = 0;
  return {
    get size() {
      return items.length - next;
    },
    push: (item) => void items.push(item),
    shift() {
      const item = items[next];
      if (item === undefined) return undefined;
      next += 1;
      if (next * 2 > items.length) {
        items = items.slice(next);
        next = 0;
      }
      return item;
    },
    clear() {
      const size = items.length - next;
      items = [];
      next = 0;
      return size;
    },
  };
}
