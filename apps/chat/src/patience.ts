/** How long a silent wait may be before it is explained. */
const PATIENCE_MS = 1_500;

/** Explains a wait that lasts. `end` when it is over, as often as one likes. */
export interface Patience {
  readonly isOver: boolean;
  end(): void;
}

export function createPatience(explain: () => void): Patience {
  let isOver = false;
  const timer = setTimeout(explain, PATIENCE_MS);
  return {
    get isOver() {
      return isOver;
    },
    end() {
      isOver = true;
      clearTimeout(timer);
    },
  };
}
