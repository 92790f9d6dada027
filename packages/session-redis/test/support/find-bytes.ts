import type { Redis } from "ioredis";

/** How to read a key of each type, whole. */
const READ: { readonly [type: string]: readonly string[] } = {
  string: ["GETBUFFER"],
  list: ["LRANGE", "0", "-1"],
  hash: ["HGETALL"],
  set: ["SMEMBERS"],
  zset: ["ZRANGE", "0", "-1"],
};

/** Whether any key of a prefix holds these bytes, as they are or in base64. Closes the client. */
export async function findBytes(client: Redis, prefix: string, bytes: Uint8Array): Promise<boolean> {
  const wanted = [
    Buffer.from(bytes),
    Buffer.from(Buffer.from(bytes).toString("base64")),
    Buffer.from(Buffer.from(bytes).toString("base64url")),
  ];
  try {
    for await (const keys of client.scanStream({ match: `${prefix}*`, count: 1000 }) as AsyncIterable<string[]>) {
      for (const key of keys) {
        const [command = "GET", ...range] = READ[await client.type(key)] ?? [];
        const value: unknown = command === "GETBUFFER" ? await client.getBuffer(key) : await client.callBuffer(command, key, ...range);
        const values = (Array.isArray(value) ? (value as unknown[]).flat() : [value]).filter((one): one is Buffer => Buffer.isBuffer(one));
        if (values.some((one) => wanted.some((text) => one.includes(text)))) return true;
      }
    }
    return false;
  } finally {
    client.disconnect();
  }
}
