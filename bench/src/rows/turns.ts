import { type AgentEvent, createRuntime, type Message, type MessageInput, withSessionManager } from "@aixgo/core";
import { createSessionManager } from "@aixgo/session";
import type { SessionBackend } from "@aixgo/session/backend";
import { type Finding, row } from "../finding.ts";
import { counted, interleaved } from "../measure.ts";
import { backendAt, inFolder, type Place, textOf } from "../stores.ts";

const CHARACTERS = 200;
const AT_ONCE = 64;
const ANSWER = textOf(CHARACTERS);

/** `callWithSession` over files, durable. */
export function fileTurnRows(): Promise<readonly Finding[]> {
  return inFolder((folder) => turnRows({ store: "files", folder, durability: "disk" }));
}

/**
 * A turn, lease included, beside two appends of the same messages to a session of the same store: in time, at 64 sessions at
 * once, and counted.
 */
export async function turnRows(place: Place): Promise<readonly Finding[]> {
  const { backend, appends } = counting(backendAt(place));
  const manager = createSessionManager({ backend });
  const runtime = createRuntime(withSessionManager(manager));
  runtime.register("plain", async () => ANSWER);
  runtime.register("one-step", oneStep);
  await runtime.start();
  try {
    const session = await manager.create("plain");
    const steps = await manager.create("one-step");
    const beside = await manager.create("plain");
    const sessions = await Promise.all(Array.from({ length: AT_ONCE }, () => manager.create("plain")));
    const others = await Promise.all(Array.from({ length: AT_ONCE }, () => manager.create("plain")));
    const question = (): string => ANSWER;
    const twoAppends = async (to: typeof session): Promise<void> => {
      await to.append(question());
      await to.append({ role: "assistant", parts: [{ type: "text", text: ANSWER }] });
    };

    const appendsOf = async (agent: string, id: string): Promise<number> => {
      await runtime.callWithSession(agent, question(), id);
      const before = appends();
      await runtime.callWithSession(agent, question(), id);
      return appends() - before;
    };
    const plain = await appendsOf("plain", session.id);
    const withStep = await appendsOf("one-step", steps.id);

    const one = await interleaved(
      { ours: () => runtime.callWithSession("plain", question(), session.id), floor: () => twoAppends(beside) },
      { calls: 60 },
    );
    const many = await interleaved(
      {
        ours: () => Promise.all(sessions.map(({ id }) => runtime.callWithSession("plain", question(), id))),
        floor: () => Promise.all(others.map(twoAppends)),
      },
      { calls: 8, rounds: 5 },
    );
    const { store } = place;
    return [
      row({
        id: `turn-${store}-appends`,
        what: `durable appends of a turn without tools, ${store}`,
        against: "the two of its contract",
        unit: "appends",
        ours: counted(plain),
        floor: counted(2),
        target: 1,
      }),
      row({
        id: `turn-${store}-appends-step`,
        what: `durable appends of a turn with one tool step, ${store}`,
        against: "the four of its contract",
        unit: "appends",
        ours: counted(withStep),
        floor: counted(4),
        target: 1,
      }),
      row({ id: `turn-${store}`, what: `callWithSession, ${store}`, against: "two appends of the same messages", ...one, target: 1.1 }),
      row({
        id: `turn-${store}-64-sessions`,
        what: `${AT_ONCE} turns at once, ${store}, throughput`,
        against: "two appends to each of as many sessions at once",
        ...many,
        better: "more",
      }),
    ];
  } finally {
    await runtime.stop();
    await manager.close();
  }
}

/** An agent that calls one tool and answers: its call and the tool's result are stored before it goes on. */
async function* oneStep(_input: Message): AsyncGenerator<AgentEvent, MessageInput, void> {
  const call = { toolCallId: "c1", toolName: "look" };
  yield { type: "message", message: { role: "assistant", parts: [{ type: "tool-call", ...call, input: {} }] } };
  yield { type: "message", message: { role: "tool", parts: [{ type: "tool-result", ...call, output: { type: "text", value: "seen" } }] } };
  return ANSWER;
}

function counting(backend: SessionBackend): { readonly backend: SessionBackend; readonly appends: () => number } {
  let count = 0;
  const append: SessionBackend["append"] = (ref, request) => {
    count += 1;
    return backend.append(ref, request);
  };
  // Backends are plain objects or classes: what is not overridden runs on the original.
  const counted = new Proxy(backend, {
    get(target, name) {
      if (name === "append") return append;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
  return { backend: counted, appends: () => count };
}
