import { AixgoError, isAixgoError } from "./errors.ts";

type CancelListener = (reason: AixgoError) => void;

/**
 * Why and whether a call should stop. An `AbortSignal` is made only for an agent that asks for it: making one costs more than
 * the rest of a call.
 */
export class Cancellation {
  #reason: AixgoError | undefined;
  #controller: AbortController | undefined;
  /** Most calls have one listener: a set is made for the second. */
  #listener: CancelListener | undefined;
  #more: Set<CancelListener> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #detach: (() => void)[] | undefined;

  get reason(): AixgoError | undefined {
    return this.#reason;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** The first reason stays. */
  cancel(reason: AixgoError): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.release();
    const first = this.#listener;
    const more = this.#more;
    this.#listener = this.#more = undefined;
    first?.(reason);
    if (more !== undefined) for (const listener of more) listener(reason);
    this.#controller?.abort(reason);
  }

  throwIfCancelled(): void {
    if (this.#reason !== undefined) throw this.#reason;
  }

  /** Called at most once, at once if it is cancelled already. */
  onCancel(listener: CancelListener): void {
    if (this.#reason !== undefined) listener(this.#reason);
    else if (this.#listener === undefined) this.#listener = listener;
    else (this.#more ??= new Set()).add(listener);
  }

  offCancel(listener: CancelListener): void {
    if (this.#listener === listener) this.#listener = undefined;
    else this.#more?.delete(listener);
  }

  /** What `promise` brings, or the reason, whichever is first. A late rejection of `promise` is not unhandled. */
  race<T>(promise: PromiseLike<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.onCancel(reject);
      promise.then(
        (value) => {
          this.offCancel(reject);
          resolve(value);
        },
        (error: unknown) => {
          this.offCancel(reject);
          reject(error);
        },
      );
    });
  }

  /** Cancels when `signal` aborts. `explain` begins the error's message. */
  follow(signal: AbortSignal, explain: string): void {
    if (this.#reason !== undefined) return;
    if (signal.aborted) return this.cancel(reasonOf(signal, explain));
    const listener = (): void => this.cancel(reasonOf(signal, explain));
    signal.addEventListener("abort", listener, { once: true });
    (this.#detach ??= []).push(() => signal.removeEventListener("abort", listener));
  }

  /** Cancels with its parent. */
  within(parent: Cancellation): void {
    const listener = (reason: AixgoError): void => this.cancel(reason);
    parent.onCancel(listener);
    (this.#detach ??= []).push(() => parent.offCancel(listener));
  }

  /** Cancels with `TIMEOUT` after so many milliseconds. */
  expireAfter(ms: number, explain: string): void {
    if (this.#reason !== undefined) return;
    this.#timer = setTimeout(() => this.cancel(new AixgoError("TIMEOUT", explain)), ms);
  }

  /** Lets go of timer and sources; nothing cancels it by itself any more. */
  release(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timer = undefined;
    const detach = this.#detach;
    if (detach === undefined) return;
    this.#detach = undefined;
    for (const off of detach) off();
  }
}

/** An abort is `CANCELLED` with the signal's reason as its cause, unless that reason is an error of ours: a deadline of the caller's caller stays a `TIMEOUT`. */
export function reasonOf(signal: AbortSignal, explain: string): AixgoError {
  const reason: unknown = signal.reason;
  return isAixgoError(reason) ? reason : new AixgoError("CANCELLED", `${explain} was cancelled`, { cause: reason });
}
