import { shownName } from "./agent-name.ts";
import { checkSendOptions, checkSignalOption, type ReceiveOptions, type SendOptions } from "./call-options.ts";
import { sharedSlot } from "./call.ts";
import { Cancellation } from "./cancellation.ts";
import { AixgoError, isAixgoError } from "./errors.ts";
import { currentFrame } from "./frame.ts";
import type { Limiter } from "./limiter.ts";
import { createMailbox, type Mailbox, type MailboxBounds, type MailboxStats, type Receiver } from "./mailbox.ts";
import { completeMessage, type Message, type MessageInput } from "./message.ts";
import { toMessage } from "./message-check.ts";
import { METRIC, type Observer } from "./observer.ts";
import type { Registration } from "./registration.ts";
import { lendWhile } from "./slot.ts";

/** What the mailboxes need to know of their runtime. */
export interface MailSite {
  readonly observer: Observer;
  readonly limiter: Limiter | undefined;
  readonly bounds: MailboxBounds;
  readonly sendTimeoutMs: number;
  readonly agents: ReadonlyMap<string, Registration>;
  /** The agent, if mail is taken for it now; throws NOT_STARTED or AGENT_NOT_FOUND. */
  admit(operation: string, agent: string): Registration;
  /** Throws NOT_STARTED unless mail is taken now. */
  checkOpen(operation: string): void;
}

/** One mailbox for each agent that has had mail or a reader. */
export interface Mailboxes {
  send(agent: string, input: MessageInput, options: SendOptions | undefined): Promise<void>;
  broadcast(input: MessageInput, options: SendOptions | undefined): Promise<void>;
  receive(agent: string, options: ReceiveOptions | undefined): AsyncIterable<Message>;
  stats(agent: string): MailboxStats;
  /** The agent is gone: waiting sends are refused, its receivers end. */
  close(agent: string): void;
  /** The runtime stops: as `close`, for all; until `reopen` nothing is taken in. */
  closeAll(): void;
  reopen(): void;
}

export function createMailboxes(site: MailSite): Mailboxes {
  const boxes = new Map<string, Mailbox>();
  let open = true;

  const boxOf = (agent: string): Mailbox => {
    let box = boxes.get(agent);
    if (box !== undefined) return box;
    box = createMailbox(agent, site.bounds, {
      received: () => site.observer.metrics?.count(METRIC.mailReceived, 1, { agent }),
      dropped(n) {
        site.observer.metrics?.count(METRIC.mailDropped, n, { agent });
        site.observer.logger.warn({ agent, messages: n }, "a mailbox was closed with messages that nobody received");
      },
    });
    // Between `closeAll` and `reopen` a reader finds its end at once.
    if (open) boxes.set(agent, box);
    else box.close(stopped(agent));
    return box;
  };

  const put = async (operation: string, agent: string, message: Message, options: SendOptions): Promise<void> => {
    const registration = site.admit(operation, agent);
    const bound = new Cancellation();
    let outcome = "ok";
    try {
      if (options.signal !== undefined) bound.follow(options.signal, `${operation}: the message for agent "${agent}"`);
      bound.throwIfCancelled();
      // An agent that reads its mail from its `start` on, and that was registered late.
      if (!registration.running) await bound.race(registration.ensureStarted());
      if (site.agents.get(agent) !== registration) throw gone(agent);
      const timeoutMs = Math.min(options.timeoutMs ?? site.sendTimeoutMs, site.sendTimeoutMs);
      const box = boxOf(agent);
      const full = `${operation}: the mailbox of agent "${agent}" had no room for ${timeoutMs} ms (it holds ${site.bounds.capacity} messages, ${site.bounds.maxBytes} bytes): the message was not sent`;
      const send = box.send(message, bound, () => bound.expireAfter(timeoutMs, full));
      // A call that waits for room lends its slot out: whoever makes the room may need it.
      if (send !== undefined) await lendWhile(sharedSlot(currentFrame(), site.limiter), () => send);
    } catch (error) {
      outcome = isAixgoError(error) ? error.code : "ERROR";
      throw error;
    } finally {
      bound.release();
      site.observer.metrics?.count(METRIC.mailSent, 1, { agent, outcome });
    }
  };

  return {
    async send(agent, input, options) {
      const checked = checkSendOptions("send", options);
      site.admit("send", agent);
      await put("send", agent, completeMessage(toMessage(input, "user")), checked);
    },
    async broadcast(input, options) {
      const checked = checkSendOptions("broadcast", options);
      site.checkOpen("broadcast");
      const message = completeMessage(toMessage(input, "user"));
      const agents = [...site.agents.keys()];
      // A copy for each: what one receiver does to its message does not show in another's.
      const sends = agents.map((agent) => put("broadcast", agent, completeMessage(toMessage(message, "user")), checked));
      const outcomes = await Promise.allSettled(sends);
      const failures = agents.flatMap((agent, index) => {
        const outcome = outcomes[index];
        return outcome?.status === "rejected" ? [{ agent, error: outcome.reason as unknown }] : [];
      });
      if (failures.length > 0) throw incomplete(agents, failures);
    },
    receive: (agent, options) => ({
      [Symbol.asyncIterator]: () => reader(site, () => receiverOf(agent), agent, options),
    }),
    stats(agent) {
      known("mailboxStats", agent);
      return boxOf(agent).stats;
    },
    close(agent) {
      const box = boxes.get(agent);
      boxes.delete(agent);
      box?.close(gone(agent));
    },
    closeAll() {
      open = false;
      for (const [agent, box] of boxes) box.close(stopped(agent));
      boxes.clear();
    },
    reopen() {
      open = true;
    },
  };

  function receiverOf(agent: string): Receiver {
    known("receive", agent);
    return boxOf(agent).receiver();
  }

  function known(operation: string, agent: string): void {
    if (!site.agents.has(agent)) throw new AixgoError("AGENT_NOT_FOUND", `${operation}: there is no agent ${shownName(agent)}`);
  }
}

/** A loop over the mail of one agent. Nothing happens before its first `next`; refusals come through it. */
function reader(site: MailSite, open: () => Receiver, agent: string, options: ReceiveOptions | undefined): AsyncIterator<Message> {
  let receiver: Receiver | undefined;
  let ended = false;
  let signal: AbortSignal | undefined;
  const leave = (): void => {
    ended = true;
    receiver?.leave();
    signal?.removeEventListener("abort", leave);
  };
  const step = async (): Promise<IteratorResult<Message>> => {
    try {
      if (receiver === undefined && !ended) {
        signal = checkSignalOption("receive", options);
        if (signal?.aborted === true) ended = true;
        else {
          receiver = open();
          signal?.addEventListener("abort", leave, { once: true });
        }
      }
    } catch (error) {
      ended = true;
      throw error;
    }
    if (ended || receiver === undefined) return { done: true, value: undefined };
    const mail = receiver;
    const message = mail.poll() ?? (await lendWhile(sharedSlot(currentFrame(), site.limiter), () => mail.wait()));
    if (message !== undefined) return { done: false, value: message };
    if (!ended) site.observer.logger.debug({ agent }, "a mailbox was closed: a receiver ends");
    leave();
    return { done: true, value: undefined };
  };
  /** Calls of `next` are answered in their order, as those of a generator are. */
  let last: Promise<unknown> | undefined;
  return {
    next() {
      const result = last === undefined ? step() : last.then(step, step);
      last = result;
      const done = (): void => void (last = last === result ? undefined : last);
      result.then(done, done);
      return result;
    },
    return() {
      leave();
      return Promise.resolve({ done: true, value: undefined });
    },
  };
}

function gone(agent: string): AixgoError {
  return new AixgoError("AGENT_NOT_FOUND", `the message was not sent: agent "${agent}" was unregistered meanwhile`);
}

function stopped(agent: string): AixgoError {
  return new AixgoError("NOT_STARTED", `the message for agent "${agent}" was not sent: the runtime stops`);
}

/** The first failures by name; all of them in `details` and `cause`. */
const SHOWN_FAILURES = 5;

/** Not retryable, whatever the failures are: those that have the message would get it twice. */
function incomplete(agents: readonly string[], failures: readonly { readonly agent: string; readonly error: unknown }[]): AixgoError {
  const failed = failures.map(({ agent, error }) => ({ agent, code: isAixgoError(error) ? error.code : "ERROR" }));
  const named = failed.slice(0, SHOWN_FAILURES).map(({ agent, code }) => `"${agent}" (${code})`);
  const more = failed.length > SHOWN_FAILURES ? `, and ${failed.length - SHOWN_FAILURES} more` : "";
  return new AixgoError(
    "BROADCAST_INCOMPLETE",
    `broadcast: ${failed.length} of ${agents.length} agents did not get the message: ${named.join(", ")}${more}. The others have it: send to these alone`,
    {
      cause: new AggregateError(failures.map(({ error }) => error)),
      details: { failed, sent: agents.length - failed.length },
      retryable: false,
    },
  );
}
