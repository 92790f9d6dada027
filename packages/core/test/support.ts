import { AixgoError, type OpenTurn, type OpenTurnRequest, type Reply, type SessionHost } from "../src/index.ts";
import { isAixgoError, type Json, type Message, type MessageInput, textOf, toMessage } from "../src/index.ts";

/** A promise and its two ends. */
export interface Gate<T = void> {
  readonly promise: Promise<T>;
  open(value: T): void;
  fail(error: unknown): void;
}

export function gate<T = void>(): Gate<T> {
  let open!: (value: T) => void;
  let fail!: (error: unknown) => void;
  const promise = new Promise<T>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  promise.catch(() => {});
  return { promise, open, fail };
}

/** Lets everything that waits for nothing but promises go on. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** The error that a promise rejects with; a promise that resolves fails the test. */
export async function errorOf(promise: Promise<unknown>): Promise<AixgoError> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    if (!isAixgoError(error)) throw new Error("not an error of ours", { cause: error });
    return error;
  }
  throw new Error(`expected a rejection, got ${JSON.stringify(value)}`);
}

export async function collect<T>(events: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const event of events) all.push(event);
  return all;
}

interface Log {
  readonly messages: Message[];
  readonly turns: string[];
  state: Json | undefined;
  busy: Promise<void> | undefined;
  abort: AbortController | undefined;
}

export interface ObservedHost extends SessionHost {
  /** What happened, in order: "open s1 as echo", "append s1 text", "complete s1 text", "fail s1 CODE". */
  readonly events: string[];
  readonly requests: OpenTurnRequest[];
  log(sessionId: string): Log;
  /** Replaces the `append` of the next turns. */
  append: ((sessionId: string, message: Message) => Promise<void>) | undefined;
  complete: ((sessionId: string) => Promise<void>) | undefined;
}

/** Sessions in memory that keep the protocol of turns: exclusive, in order, ended exactly once, answered from the log by key. */
export function observedHost(): ObservedHost {
  const logs = new Map<string, Log>();
  const answers = new Map<string, Reply>();
  const events: string[] = [];
  const requests: OpenTurnRequest[] = [];
  let ids = 0;

  const logOf = (id: string): Log => {
    let log = logs.get(id);
    if (log === undefined) logs.set(id, (log = { messages: [], turns: [], state: undefined, busy: undefined, abort: undefined }));
    return log;
  };
  const stored = (input: MessageInput, role: "user" | "assistant"): Message => {
    const draft = toMessage(input, role);
    return { id: `e${(ids += 1)}`, timestamp: "2026-01-01T00:00:00.000Z", ...draft };
  };

  const host: ObservedHost = {
    sharedBy: "process",
    events,
    requests,
    log: logOf,
    append: undefined,
    complete: undefined,
    async openTurn(sessionId, request) {
      requests.push(request);
      const log = logOf(sessionId);
      if (request.within?.includes(sessionId)) {
        throw new AixgoError("TURN_REENTRANT", `session ${sessionId} is in this call's own turn`);
      }
      const draft = toMessage(request.input as MessageInput, "user");
      const key = request.options.turnKey ?? draft.id;
      while (log.busy !== undefined) await log.busy;
      const known = key === undefined ? undefined : answers.get(`${sessionId} ${key}`);
      const free = gate();
      const input = stored(draft, "user");
      const turnId = `t${(ids += 1)}`;
      const steps: Message[] = [];
      const history = [...log.messages];
      const abort = new AbortController();
      let ended = false;
      const end = (how: string): void => {
        if (ended) throw new Error(`turn ${turnId} was ended twice: ${how}`);
        ended = true;
        events.push(how);
        log.busy = undefined;
        log.abort = undefined;
        free.open();
      };
      events.push(`open ${sessionId} as ${request.agent}`);
      if (known === undefined) {
        log.busy = free.promise;
        log.abort = abort;
        log.messages.push(input);
      }
      const turn: OpenTurn = {
        id: turnId,
        attempt: 1,
        signal: abort.signal,
        input,
        ...(known === undefined
          ? undefined
          : { finished: { ...known, turn: { ...(known.turn as NonNullable<Reply["turn"]>), replayed: true } } }),
        userId: "ada",
        place: { life: "host", version: log.messages.length },
        requests: [],
        resumed: false,
        history: async () => history,
        steps: async () => [...steps],
        getState: async () => log.state,
        setState: async (value) => void (log.state = value),
        async append(given) {
          const message = stored(given, "assistant");
          await host.append?.(sessionId, message);
          if (ended) throw new Error("append after the end");
          events.push(`append ${sessionId} ${textOf(message)}`);
          log.messages.push(message);
          steps.push(message);
          return { message, version: log.messages.length };
        },
        run: (body) => body(),
        async complete(given, usage) {
          await host.complete?.(sessionId);
          const draft2 = toMessage(given, "assistant");
          const again = steps.find((step) => step.id === draft2.id);
          const message = again ?? stored(draft2, "assistant");
          if (again === undefined) log.messages.push(message);
          end(`complete ${sessionId} ${textOf(message)}`);
          const reply: Reply = {
            message,
            text: textOf(message),
            ...(usage === undefined ? undefined : { usage }),
            turn: { id: turnId, sessionId, version: log.messages.length, replayed: false, status: "completed" },
          };
          if (key !== undefined) answers.set(`${sessionId} ${key}`, reply);
          return reply;
        },
        suspend: async () => Promise.reject(new Error("this host does not suspend")),
        decisionOf: async () => undefined,
        endSuspended: async () => Promise.reject(new Error("this host does not suspend")),
        async fail(error) {
          end(`fail ${sessionId} ${isAixgoError(error) ? error.code : String(error)}`);
        },
      };
      return turn;
    },
    agentOf: async () => Promise.reject(new AixgoError("SESSION_NOT_FOUND", "this host knows no agents")),
    attach: async () => undefined,
    async *follow() {},
    async cancelTurn(sessionId, options) {
      const log = logOf(sessionId);
      if (log.abort === undefined) return false;
      log.abort.abort(new AixgoError("CANCELLED", options?.reason ?? "cancelled"));
      return true;
    },
  };
  return host;
}
