import { createSessionManager, type Session, type SessionManager } from "@aixgo/session";
import { sealLine, type SessionBackend } from "@aixgo/session/backend";

/** What an operation works with: the store as it is, opened. */
export interface Scene {
  readonly sessions: SessionManager;
  readonly backend: SessionBackend;
  /** Made by `prepare`. */
  readonly subject: string;
}

/** One call of a user, whose system calls are broken one by one. */
export interface Operation {
  readonly name: string;
  /** What there is before; answers with the id of the session that the call is about, or "". */
  prepare(sessions: SessionManager): Promise<string>;
  run(scene: Scene): Promise<unknown>;
  /** Errors that a second call may meet once the first has done its work. */
  readonly onceDone?: readonly string[];
  /** The line that a call which fails on its way leaves behind what it has done. */
  readonly ending?: string;
  /** What is changed in the store's folder after `prepare`, with nothing open. */
  spoil?(files: StoreFiles): void;
  /** No store at all. */
  readonly fromNothing?: true;
}

/** What `spoil` needs of the file system. */
export interface StoreFiles {
  remove(path: string): void;
  append(path: string, bytes: string): void;
}

export const AGENT = "agent";

async function subject(sessions: SessionManager, options: { key?: string } = {}): Promise<Session> {
  const session = await sessions.create(AGENT, options);
  await session.append("first");
  await session.checkpoint({ label: "early" });
  await session.append(["second", "third"]);
  return session;
}

const made = async (sessions: SessionManager): Promise<string> => (await subject(sessions)).id;

export const OPERATIONS: readonly Operation[] = [
  { name: "open a new store", fromNothing: true, prepare: async () => "", run: async ({ sessions }) => (await sessions.create(AGENT)).id },
  { name: "create", prepare: async () => "", run: async ({ sessions }) => (await sessions.create("other")).id },
  { name: "getOrCreate", prepare: async () => "", run: async ({ sessions }) => (await sessions.getOrCreate(AGENT, "user")).id },
  { name: "append", prepare: made, run: async (scene) => (await open(scene)).append("fourth") },
  { name: "append a batch", prepare: made, run: async (scene) => (await open(scene)).append(["fourth", "fifth", "sixth"]) },
  {
    name: "append a group",
    prepare: made,
    async run(scene) {
      const session = await open(scene);
      await Promise.all([session.append("fourth"), session.append(["fifth", "sixth"]), session.append("seventh")]);
    },
  },
  { name: "checkpoint", prepare: made, run: async (scene) => (await open(scene)).checkpoint({ label: "late" }) },
  {
    name: "restore",
    prepare: made,
    async run(scene) {
      const session = await open(scene);
      const [early] = await session.checkpoints();
      return session.restore(early?.id ?? "");
    },
  },
  { name: "set metadata", prepare: made, run: async (scene) => (await open(scene)).setMetadata({ topic: "new" }) },
  {
    name: "turn",
    prepare: made,
    ending: 'turn ["end","failed"]',
    run: async (scene) =>
      (await open(scene)).turn(
        "question",
        async (turn) => {
          await turn.append("step");
          return "answer";
        },
        { turnKey: "the turn" },
      ),
  },
  { name: "fork", prepare: made, run: async (scene) => (await (await open(scene)).fork()).id },
  { name: "attach", prepare: made, run: async (scene) => (await open(scene)).attach(Buffer.alloc(5000, "a"), { mediaType: "text/plain" }) },
  { name: "rewrite", prepare: made, run: rewrite },
  {
    name: "delete",
    prepare: made,
    run: async ({ sessions, subject }) => sessions.delete(subject),
    onceDone: ["SESSION_DELETED"],
  },
  {
    name: "delete with a key",
    prepare: async (sessions) => (await subject(sessions, { key: "k" })).id,
    run: async ({ sessions, subject }) => sessions.delete(subject, { mode: "erase" }),
    onceDone: ["SESSION_DELETED"],
  },
  {
    name: "list, the catalog lost",
    prepare: made,
    run: async ({ sessions }) => (await sessions.list()).items.length,
    spoil: ({ remove }) => remove(".aixgo/catalog/journal"),
  },
  {
    name: "append behind a torn tail",
    prepare: made,
    run: async (scene) => (await open(scene)).append("fourth"),
    spoil: ({ append }) => append(".jsonl", '{"v":1,"seq":5,"id":"torn'),
  },
];

function open({ sessions, subject }: Scene): Promise<Session> {
  return sessions.get(subject);
}

/** As redaction does it: the same session, a new incarnation, other lines. */
async function rewrite({ backend, subject }: Scene): Promise<unknown> {
  const head = await backend.head(subject);
  const incarnation = `new-${head.incarnation}`.slice(0, 40);
  const lines = async function* (): AsyncGenerator<Uint8Array> {
    let hash = incarnation;
    const timestamp = new Date().toISOString();
    const datas = [
      ["session", { id: subject, incarnation, agentName: AGENT, origin: { id: subject, incarnation: head.incarnation } }],
      ["message", { role: "user", parts: [{ type: "text", text: "redacted" }] }],
    ] as const;
    for (const [seq, [type, data]] of datas.entries()) {
      const sealed = sealLine(
        hash,
        `{"v":1,"seq":${seq},"id":"rewritten${seq}","timestamp":"${timestamp}","type":"${type}","n":${seq},"data":${JSON.stringify(data)}`,
      );
      hash = sealed.hash;
      yield sealed.line;
    }
  };
  const answer = await backend.rewrite(head, { expect: head, next: { id: subject, incarnation }, lines: lines() });
  if ("conflict" in answer) throw new Error("the rewrite met a conflict");
  return answer.head.seq;
}

/** A store before an operation: beside its subject lies a session that it must leave alone. Answers with the ids of both. */
export async function prepareStore(backend: SessionBackend, operation: Operation): Promise<{ subject: string; bystander: string }> {
  const sessions = createSessionManager({ backend });
  const bystander = await sessions.create("bystander");
  await bystander.append(["untouched", "as well"]);
  return { subject: await operation.prepare(sessions), bystander: bystander.id };
}

export function operationNamed(name: string): Operation {
  const found = OPERATIONS.find((operation) => operation.name === name);
  if (found === undefined) throw new Error(`there is no operation ${JSON.stringify(name)}`);
  return found;
}
