import {
  type Agent,
  AixgoError,
  createRuntime,
  type Execute,
  type Message,
  type Runtime,
  type RuntimeOptions,
  textOf,
  toMessage,
} from "../src/index.ts";
import type { RuntimeFactory } from "../src/testing.ts";

/** A runtime that breaks one promise. */
export interface RuntimeMutant {
  readonly name: string;
  /** Cases that must notice. */
  readonly mustFail: readonly string[];
  readonly create: RuntimeFactory;
}

function changed(change: (real: Runtime, options: RuntimeOptions) => Partial<Runtime>): RuntimeFactory {
  return (options) => {
    const real = createRuntime(options);
    const broken: Runtime = {
      ...real,
      register(first: Agent | string, second?: Agent | Execute) {
        if (typeof first === "string") real.register(first, second as Agent);
        else real.register(first);
        return broken;
      },
      ...change(real, options),
    };
    return broken;
  };
}

/** Registers other agents than those it was given. */
function agents(change: (agent: Agent) => Agent): RuntimeFactory {
  return (options) => {
    const real = createRuntime(options);
    const broken: Runtime = {
      ...real,
      register(first: Agent | string, second?: Agent | Execute) {
        const agent =
          typeof first !== "string" ? first : typeof second === "function" ? { name: first, execute: second } : (second as Agent);
        real.register(typeof first === "string" ? first : first.name, change(agent));
        return broken;
      },
    };
    return broken;
  };
}

/** A semaphore that does not know that a call inside a call shares its slot. */
function guarded(real: Runtime, max: number): Pick<Runtime, "call"> {
  let free = max;
  const waiting: (() => void)[] = [];
  return {
    async call(...args) {
      if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve));
      else free -= 1;
      try {
        return await real.call(...args);
      } finally {
        const next = waiting.shift();
        if (next === undefined) free += 1;
        else next();
      }
    },
  };
}

export const runtimeMutants: readonly RuntimeMutant[] = [
  {
    name: "has no limit of concurrent calls",
    mustFail: ["limit/holds", "limit/abandoned", "parallel/limit", "parallel/waiting", "nested/left-behind", "mail/limit-of-one"],
    create: ({ maxConcurrentCalls: _, ...options }) => createRuntime(options),
  },
  {
    name: "makes a call inside a call wait for a slot of its own",
    mustFail: ["nested/limit-of-one"],
    create: changed((real, options) => (options.maxConcurrentCalls === undefined ? {} : guarded(real, options.maxConcurrentCalls))),
  },
  {
    name: "ignores the caller's signal",
    mustFail: ["cancel/before", "cancel/deaf", "limit/abandoned", "limit/given-back", "nested/inherits"],
    create: changed((real) => ({ call: (agent, input, { signal: _, ...options } = {}) => real.call(agent, input, options) })),
  },
  {
    name: "ignores the call's timeout",
    mustFail: ["cancel/late-signal", "cancel/late-work", "ready/broken"],
    create: changed((real) => ({ call: (agent, input, { timeoutMs: _, ...options } = {}) => real.call(agent, input, options) })),
  },
  {
    name: "forgets on whose behalf it works",
    mustFail: ["call/principal", "nested/inherits", "parallel/principal"],
    create: agents((agent) => ({ ...agent, execute: (input, { principal: _, ...context }) => agent.execute(input, context) })),
  },
  {
    name: "calls agents that are not ready",
    mustFail: ["ready/false", "ready/broken", "phases/ready", "phases/never-ready", "health/broken", "call/checks", "parallel/outcomes"],
    create: agents(({ ready: _, ...agent }) => agent as Agent),
  },
  {
    name: "lets the last of two agents of one name win",
    mustFail: ["register/twice"],
    create: changed((real) => ({
      register(name: string | Agent, agent?: unknown) {
        void real.unregister(typeof name === "string" ? name : name.name);
        real.register(name as string, agent as Agent);
        return this as Runtime;
      },
    })),
  },
  {
    name: "lesson: cancels agents when their phase has ended",
    mustFail: ["start/signal", "phases/signal"],
    create: agents((agent) => ({
      ...agent,
      ...(agent.start && {
        async start(signal: AbortSignal) {
          const phase = new AbortController();
          await agent.start?.(AbortSignal.any([signal, phase.signal]));
          phase.abort();
        },
      }),
    })),
  },
  {
    name: "starts all phases at once",
    mustFail: ["phases/order", "phases/ready", "phases/uses", "phases/cycle", "phases/unknown", "phases/never-ready"],
    create: changed((real) => ({ startPhased: (_dependencies, options) => real.start(options) })),
  },
  {
    name: "leaves what had started running when a start fails",
    mustFail: ["start/failure", "start/aborted", "phases/failure", "phases/never-ready", "phases/aborted", "phases/stop"],
    create: agents(({ stop: _, ...agent }) => agent),
  },
  {
    name: "says of every agent that it is ready",
    mustFail: ["health/states", "health/broken", "health/late"],
    create: changed((real) => ({
      health: async () => ({
        status: "started",
        ready: true,
        agents: Object.fromEntries(real.list().map((name) => [name, { status: "ready", calls: 0 }])),
      }),
    })),
  },
  {
    name: "gives each agent of a parallel call a message of its own",
    mustFail: ["parallel/at-once"],
    create: changed((real) => ({
      async callParallel(names, input, options) {
        const outcomes = await Promise.all(names.map((name) => real.callParallel([name], input, options)));
        return Object.assign({}, ...outcomes) as Awaited<ReturnType<Runtime["callParallel"]>>;
      },
    })),
  },
  {
    name: "rejects a parallel call with the first error",
    mustFail: ["parallel/outcomes", "parallel/cancel", "parallel/waiting"],
    create: changed((real) => ({
      async callParallel(names, input, options) {
        const outcomes = await real.callParallel(names, input, options);
        for (const outcome of Object.values(outcomes)) if (outcome.status === "rejected") throw outcome.reason;
        return outcomes;
      },
    })),
  },
  {
    name: "shows the events of a stream when the call has ended",
    mustFail: ["stream/events", "stream/leaving", "stream/other-readers"],
    create: changed((real) => ({
      stream(...args) {
        const stream = real.stream(...args);
        return {
          ...stream,
          async *[Symbol.asyncIterator]() {
            await stream.reply.catch(() => {});
            yield* stream;
          },
        };
      },
    })),
  },
  {
    name: "goes on with a call whose reader left",
    mustFail: ["stream/leaving", "stream/other-readers"],
    create: changed((real) => ({
      stream(...args) {
        const stream = real.stream(...args);
        void stream[Symbol.asyncIterator]().next();
        return stream;
      },
    })),
  },
  {
    name: "has mailboxes without a bound",
    mustFail: ["mail/room", "mail/full", "mail/cancel", "mail/broadcast-fails", "mail/unregister", "mail/stop"],
    create: (options) => createRuntime({ ...options, mailboxCapacity: 1_000_000 }),
  },
  {
    name: "counts the messages in its mailboxes and not their bytes",
    mustFail: ["mail/bytes"],
    create: (options) => createRuntime({ ...options, mailboxMaxBytes: 2 ** 40 }),
  },
  {
    name: "sends each message twice",
    mustFail: ["mail/order", "mail/one-receiver", "mail/stats", "mail/producer-consumer"],
    create: changed((real) => ({
      async send(agent, input, options) {
        await real.send(agent, input, options);
        await real.send(agent, input, options);
      },
    })),
  },
  {
    name: "hands out the newest message first",
    mustFail: ["mail/order", "mail/limit-of-one", "mail/unregister-drains"],
    create: changed((real) => ({
      receive(agent, options) {
        return {
          async *[Symbol.asyncIterator]() {
            const taken: Message[] = [];
            for await (const message of real.receive(agent, options)) {
              taken.push(message);
              if (real.mailboxStats(agent).depth > 0) continue;
              while (taken.length > 0) yield taken.pop() as Message;
            }
            while (taken.length > 0) yield taken.pop() as Message;
          },
        };
      },
    })),
  },
  {
    name: "loses the message that a waiting receiver takes along when it leaves",
    mustFail: ["mail/leaving", "mail/signal"],
    create: changed((real) => ({
      receive(agent) {
        const mail = real.receive(agent)[Symbol.asyncIterator]();
        return { [Symbol.asyncIterator]: () => ({ next: () => mail.next(), return: async () => ({ done: true, value: undefined }) }) };
      },
    })),
  },
  {
    name: "keeps it for itself when a broadcast fails",
    mustFail: ["mail/broadcast-fails"],
    create: changed((real) => ({
      broadcast: (input, options) =>
        real.broadcast(input, options).catch((error: { code?: string }) => {
          if (error.code !== "BROADCAST_INCOMPLETE") throw error;
        }),
    })),
  },
  {
    name: "takes mail for names that no agent has",
    mustFail: ["mail/unknown", "mail/unregister"],
    create: changed((real) => ({
      send: (agent, input, options) => (real.get(agent) === undefined ? Promise.resolve() : real.send(agent, input, options)),
    })),
  },
  {
    name: "stops without any grace",
    mustFail: ["stop/graceful", "stop/sub-calls", "stop/start-meanwhile"],
    create: changed((real) => ({ stop: () => real.stop({ graceMs: 0 }) })),
  },
  {
    name: "hides what went wrong",
    mustFail: ["failure/thrown", "failure/ours"],
    create: changed((real) => ({
      call: (...args) =>
        real.call(...args).catch(() => {
          throw new AixgoError("AGENT_FAILED", "something went wrong");
        }),
    })),
  },
  {
    name: "stops an agent while it is still working",
    mustFail: ["unregister/frees", "unregister/running"],
    create: changed((real) => ({
      async unregister(name) {
        await real.get(name)?.stop?.();
        return real.unregister(name);
      },
    })),
  },
  {
    name: "answers with the text alone",
    mustFail: ["call/answers", "stream/events"],
    create: agents((agent) => ({
      ...agent,
      async execute(input, context) {
        const returned = agent.execute(input, context);
        if (Symbol.asyncIterator in Object(returned)) {
          const generator = returned as AsyncGenerator;
          let step = await generator.next();
          while (step.done !== true) step = await generator.next();
          return step.value as string;
        }
        const result = (await returned) as string;
        return typeof result === "object" && "usage" in (result as object)
          ? textOf(toMessage((result as { message: string }).message, "assistant"))
          : result;
      },
    })),
  },
];
