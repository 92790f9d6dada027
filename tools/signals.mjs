/** Nobody presses a key twice in so short a time. */
const SAME_KEYSTROKE_MS = 100;

/**
 * A Ctrl-C reaches a process that npm started twice: from the terminal, and from npm, which passes on its own. Makes it one again.
 * @param {Pick<NodeJS.EventEmitter, "emit">} emitter process @param {() => number} [now]
 */
export function onePerKeystroke(emitter, now = () => performance.now()) {
  const emit = emitter.emit;
  let last = -Infinity;
  emitter.emit = function (event, ...args) {
    if (event === "SIGINT") {
      const at = now();
      if (at - last < SAME_KEYSTROKE_MS) return true;
      last = at;
    }
    return emit.call(this, event, ...args);
  };
}
