import { startPostgres } from "@aixgo/repository-tools/services/postgres";
import { startRedis } from "@aixgo/repository-tools/services/redis";
import type { Finding } from "../finding.ts";
import { postgresFloor } from "../servers/postgres-floor.ts";
import { redisFloor, type StoreFloor } from "../servers/redis-floor.ts";
import type { Place } from "../stores.ts";
import { contentionRows } from "./contention.ts";
import { serverAppendRows } from "./server-append.ts";
import { turnRows } from "./turns.ts";

interface Server {
  readonly url: string;
  stop(): Promise<void>;
}

interface Kind {
  readonly start: () => Promise<Server>;
  readonly place: (url: string) => Place;
  readonly floor: (url: string) => Promise<StoreFloor>;
  readonly append: Parameters<typeof serverAppendRows>[0];
  readonly worstMs: number;
}

const REDIS: Kind = {
  start: () => startRedis(),
  place: (url) => ({ store: "redis", url, keyPrefix: "aixgo:bench:" }),
  floor: redisFloor,
  append: {
    store: "redis",
    against: "a bare EVALSHA that stores the same bytes",
    one: 1.3,
    sessions: 0.65,
    oneSession: 1,
    oneByOne: false,
  },
  worstMs: 500,
};

const POSTGRES: Kind = {
  start: () => startPostgres(),
  place: (url) => ({ store: "postgres", url, schema: "aixgo_bench" }),
  floor: postgresFloor,
  append: { store: "postgres", against: "an insert and its commit", one: 1.3, sessions: 3, oneSession: 3, oneByOne: true },
  worstMs: 500,
};

/** A throwaway server; both sides talk to it over the loopback interface. */
export function redisRows(): Promise<readonly Finding[]> {
  return rowsOf(REDIS);
}

export function postgresRows(): Promise<readonly Finding[]> {
  return rowsOf(POSTGRES);
}

async function rowsOf({ start, place, floor, append, worstMs }: Kind): Promise<readonly Finding[]> {
  const server = await start();
  try {
    const bare = await floor(server.url);
    const at = place(server.url);
    try {
      return [...(await serverAppendRows(append, at, bare)), ...(await turnRows(at)), ...(await contentionRows(at, worstMs))];
    } finally {
      await bare.close();
    }
  } finally {
    await server.stop();
  }
}
