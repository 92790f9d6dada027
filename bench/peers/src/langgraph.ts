import { HumanMessage } from "@langchain/core/messages";
import type { RunnableConfig } from "@langchain/core/runnables";
import { type BaseCheckpointSaver, MemorySaver, uuid6 } from "@langchain/langgraph-checkpoint";
import { PostgresSaver } from "@langchain/langgraph-checkpoint-postgres";
import { SqliteSaver } from "@langchain/langgraph-checkpoint-sqlite";
import { randomUUID } from "node:crypto";
import { statSync } from "node:fs";
import { join } from "node:path";
import type { Contender, Conversation, Store } from "#contender";

const NOTE = "one checkpoint a message: put(), without the graph around it";

export const langGraphInMemory: Contender = {
  name: "LangGraph, memory",
  role: "peer",
  survives: "nothing",
  note: NOTE,
  open: async (_, text) => store({ saver: new MemorySaver(), text }),
};

/** Its SQLite saver; `NORMAL` is what better-sqlite3 is built with. */
export function langGraphSqlite(synchronous: "NORMAL" | "FULL"): Contender {
  return {
    name: `LangGraph, SQLite, ${synchronous}`,
    role: "peer",
    survives: synchronous === "FULL" ? "a power cut" : "a kill",
    note: NOTE,
    open: (folder, text) => sqlite(folder, text, synchronous),
  };
}

export function langGraphPostgres(url: string): Contender {
  const connect = (): PostgresSaver => PostgresSaver.fromConnString(url, { schema: "langgraph_bench" });
  return {
    name: "LangGraph, PostgreSQL",
    role: "peer",
    survives: "a power cut",
    note: NOTE,
    async open(_, text) {
      const saver = connect();
      await saver.setup();
      return store({ saver, reopen: connect, end: (each) => (each as PostgresSaver).end(), text });
    },
  };
}

async function sqlite(folder: string, text: string, synchronous: "NORMAL" | "FULL"): Promise<Store> {
  const file = join(folder, "checkpoints.db");
  const open = (): SqliteSaver => SqliteSaver.fromConnString(file);
  const saver = open();
  // Its tables and journal mode come with the first call.
  await saver.getTuple({ configurable: { thread_id: "none" } });
  saver.db.pragma(`synchronous = ${synchronous}`);
  return store({
    saver,
    reopen: open,
    text,
    end: async (each) => void (each as SqliteSaver).db.close(),
    bytes() {
      saver.db.pragma("wal_checkpoint(TRUNCATE)");
      return statSync(file).size;
    },
  });
}

interface Given {
  readonly saver: BaseCheckpointSaver;
  readonly text: string;
  readonly reopen?: () => BaseCheckpointSaver;
  readonly end?: (saver: BaseCheckpointSaver) => Promise<void>;
  readonly bytes?: () => number;
}

function store({ saver, text, reopen, end, bytes }: Given): Store {
  let messages = 0;
  const message = (): HumanMessage => new HumanMessage({ id: `m${(messages += 1)}`, content: text });
  const others: BaseCheckpointSaver[] = [];

  async function filled(count: number): Promise<Conversation> {
    const thread = randomUUID();
    const newest: RunnableConfig = { configurable: { thread_id: thread, checkpoint_ns: "" } };
    const state = Array.from({ length: count }, message);
    let config = newest;
    let step = 0;
    const put = async (): Promise<void> => {
      step += 1;
      const versions = { messages: step };
      config = await saver.put(
        config,
        {
          v: 4,
          id: uuid6(step),
          ts: new Date().toISOString(),
          channel_values: { messages: state },
          channel_versions: versions,
          versions_seen: {},
        },
        { source: "update", step, parents: {} },
        versions,
      );
    };
    await put();
    const load = async (from: BaseCheckpointSaver): Promise<number> => {
      const found = (await from.getTuple(newest))?.checkpoint.channel_values["messages"];
      return Array.isArray(found) ? found.length : 0;
    };
    return {
      append() {
        state.push(message());
        return put();
      },
      load: () => load(saver),
      checkpoint: put,
      ...(reopen === undefined
        ? undefined
        : {
            resume() {
              const other = reopen();
              others.push(other);
              return load(other);
            },
          }),
    };
  }

  return {
    filled,
    ...(bytes === undefined ? undefined : { bytes }),
    async populate(conversations) {
      for (let left = conversations; left > 0; left -= 1) await filled(1);
    },
    async list(limit) {
      let count = 0;
      for await (const _ of saver.list({ configurable: {} }, { limit })) count += 1;
      return count;
    },
    async close() {
      for (const each of [saver, ...others]) await end?.(each);
    },
  };
}
