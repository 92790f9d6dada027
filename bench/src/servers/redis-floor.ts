import { createHash } from "node:crypto";
import { Redis } from "ioredis";
import { builtLine } from "../floors.ts";

/** A script that stores what an append of ours stores, and checks nothing. */
const SCRIPT = `
redis.call('RPUSH', KEYS[2], ARGV[4])
redis.call('SET', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[3], ARGV[2], ARGV[3])
redis.call('ZADD', KEYS[4], ARGV[5], ARGV[6])
redis.call('ZADD', KEYS[5], ARGV[5], ARGV[6])
return 1`;
/** About the head of a session: position, counters, agent, times. */
const HEAD = "h".repeat(260);

export interface StoreFloor {
  /** Builds a line and stores it behind the others of that session. */
  append(session: string, text: string): Promise<unknown>;
  close(): Promise<void>;
}

/** Bare `EVALSHA`; commands of one turn of the event loop leave in one write. */
export async function redisFloor(url: string): Promise<StoreFloor> {
  const client = new Redis(url, { enableAutoPipelining: true });
  const sha = createHash("sha1").update(SCRIPT).digest("hex");
  await client.script("LOAD", SCRIPT);
  let seq = 0;
  return {
    append(session, text) {
      const line = builtLine(text);
      const key = `floor:{${session}}:`;
      seq += 1;
      return client.evalsha(
        sha,
        5,
        `${key}head`,
        `${key}lines`,
        `${key}marks`,
        "floor:all",
        "floor:agent",
        HEAD,
        `i${String(seq).padStart(16, "0")}`,
        seq,
        line,
        Date.now(),
        session,
      );
    },
    async close() {
      client.disconnect();
    },
  };
}
