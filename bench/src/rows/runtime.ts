import { EventEmitter, on } from "node:events";
import { type AgentEvent, createRuntime, type Message, type Runtime, textOf } from "@aixgo/core";
import { type Finding, promise, row } from "../finding.ts";
import { interleaved, perCall, summary, timed } from "../measure.ts";

const CALLS = 2000;
const EVENTS = 1000;
const EVENT: AgentEvent = { type: "text-delta", text: "lorem ipsum " };

/** What the runtime itself costs. Batches of calls, since one is shorter than the clock is exact. */
export async function runtimeRows(): Promise<readonly Finding[]> {
  const runtime = createRuntime()
    .register("echo", async (input) => textOf(input))
    .register("stream", streams);
  await runtime.start();
  try {
    return [await inProcessCall(runtime), await streaming(runtime), await mailbox(runtime)];
  } finally {
    await runtime.stop();
  }
}

async function inProcessCall(runtime: Runtime): Promise<Finding> {
  const message: Message = { id: "m", role: "user", parts: [{ type: "text", text: "hello" }], timestamp: new Date().toISOString() };
  const bare = async (input: Message): Promise<{ text: string }> => ({ text: textOf(input) });
  const calls = async (): Promise<void> => {
    for (let call = 0; call < CALLS; call += 1) await runtime.call("echo", "hello");
  };
  const floor = async (): Promise<void> => {
    for (let call = 0; call < CALLS; call += 1) await bare(message);
  };
  for (const side of [calls, floor, calls, floor]) await side();
  const over: number[] = [];
  for (let round = 0; round < 25; round += 1) over.push(((await timed(calls)) - (await timed(floor))) / CALLS);
  return promise("call-in-process", "an in-process call, over the agent's own work", summary(over), 5);
}

async function streaming(runtime: Runtime): Promise<Finding> {
  const compared = await interleaved(
    {
      ours: async () => {
        let seen = 0;
        for await (const event of runtime.stream("stream", "hello")) seen += event.type === "text-delta" ? 1 : 0;
        assertAll(seen);
      },
      floor: async () => {
        let seen = 0;
        for await (const event of streams()) seen += event.type === "text-delta" ? 1 : 0;
        assertAll(seen);
      },
    },
    { calls: 10 },
  );
  return row({
    id: "stream-in-process",
    what: `an event of a stream of ${EVENTS}, from the agent to the caller`,
    against: "the agent's async generator, iterated directly",
    ours: perCall(compared.ours, EVENTS),
    floor: perCall(compared.floor, EVENTS),
  });
}

/** Messages from a sender to a loop that receives them, beside the same through an emitter and an iterator over it. */
async function mailbox(runtime: Runtime): Promise<Finding> {
  const through = async (send: (index: number) => unknown, source: AsyncIterable<unknown>): Promise<void> => {
    const receiving = (async () => {
      let seen = 0;
      for await (const _ of source) if ((seen += 1) === EVENTS) break;
      assertAll(seen);
    })();
    for (let index = 0; index < EVENTS; index += 1) await send(index);
    await receiving;
  };
  const compared = await interleaved(
    {
      ours: () => through(() => runtime.send("echo", "hello"), runtime.receive("echo")),
      floor: () => {
        const emitter = new EventEmitter();
        return through(() => emitter.emit("message", "hello"), on(emitter, "message"));
      },
    },
    { calls: 10 },
  );
  return row({
    id: "mailbox-in-process",
    what: "a message from send to receive",
    against: "an EventEmitter and the iterator of node:events over it",
    ours: perCall(compared.ours, EVENTS),
    floor: perCall(compared.floor, EVENTS),
  });
}

async function* streams(): AsyncGenerator<AgentEvent, string, void> {
  for (let index = 0; index < EVENTS; index += 1) yield EVENT;
  return "done";
}

function assertAll(seen: number): void {
  if (seen !== EVENTS) throw new Error(`${seen} of ${EVENTS} came`);
}
