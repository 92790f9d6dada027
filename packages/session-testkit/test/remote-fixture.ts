import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { deserialize, serialize } from "node:v8";
import { AixgoError, isAixgoError } from "@aixgo/core";
import { createMemoryBackend } from "@aixgo/session";
import type { Appended, CreateRequest, SessionBackend } from "@aixgo/session/backend";
import type { Fixture } from "../src/fixture.ts";
import type { Flaw } from "../src/mutants/mutant.ts";

/**
 * A store that several processes share: a memory backend behind a socket of the process that opened it first. It lets the
 * cases with child processes, and broken backends among them, run without any real store.
 */
export interface RemoteOptions {
  /** What the server does otherwise than a memory backend. */
  readonly server?: (real: SessionBackend) => Flaw;
  /** What each client does otherwise than ask the server. */
  readonly client?: (remote: SessionBackend) => Flaw;
}

interface Call {
  readonly number: number;
  readonly store: string;
  readonly method: string;
  readonly args: readonly unknown[];
}

interface Answer {
  readonly number: number;
  readonly value?: unknown;
  readonly error?: { readonly code: string; readonly message: string };
}

export function remoteFixture(name: string, options: RemoteOptions = {}): Fixture {
  const variable = `AIXGO_TESTKIT_${name.replaceAll(/\W/g, "_")}`;
  let listening: Promise<Server> | undefined;
  return {
    name,
    module: new URL("./remote-fixtures.ts", import.meta.url).href,
    // Resolved here: children would look for the loader from the folder that the tests were started in.
    execArgv: ["--import", import.meta.resolve("tsx"), "--conditions=@aixgo/source"],
    async open(store) {
      // Children inherit the address; the first process makes it.
      if (process.env[variable] === undefined) listening ??= listen(variable, options);
      await listening;
      const remote = clientOf(await dial(process.env[variable] ?? "0"), store);
      return { ...remote, ...options.client?.(remote) };
    },
  };
}

async function listen(variable: string, { server: flaw }: RemoteOptions): Promise<Server> {
  const stores = new Map<string, SessionBackend>();
  const server = createServer((socket) => {
    socket.unref();
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy());
    framed(socket, (message) => {
      const call = message as Call;
      const known = stores.get(call.store) ?? createMemoryBackend({ maxLineBytes: 512 * 1024 });
      stores.set(call.store, known);
      void perform({ ...known, ...flaw?.(known) }, call).then((answer) => send(socket, answer));
    });
  });
  server.unref();
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  process.env[variable] = String((server.address() as AddressInfo).port);
  return server;
}

async function perform(backend: SessionBackend, { number, method, args }: Call): Promise<Answer> {
  try {
    const value = await (
      handlers[method as keyof typeof handlers] as (backend: SessionBackend, ...args: readonly unknown[]) => Promise<unknown>
    )(backend, ...args);
    return { number, value };
  } catch (error) {
    if (!isAixgoError(error)) throw error;
    return { number, error: { code: error.code, message: error.message } };
  }
}

type Args<M extends keyof SessionBackend> = SessionBackend[M] extends ((...args: infer A) => unknown) | undefined ? A : never;

const handlers = {
  create: (backend: SessionBackend, request: CreateRequest, lines: readonly Uint8Array[]) =>
    backend.create({ ...request, lines: () => given(lines) }),
  head: (backend: SessionBackend, ...args: Args<"head">) => backend.head(...args),
  append: (backend: SessionBackend, ...args: Args<"append">) => backend.append(...args),
  read: async (backend: SessionBackend, ...args: Args<"read">) => collect(backend.read(...args)),
  find: (backend: SessionBackend, ...args: Args<"find">) => backend.find(...args),
  list: (backend: SessionBackend, ...args: Args<"list">) => backend.list(...args),
  renew: (backend: SessionBackend, ...args: Args<"renew">) => backend.renew(...args),
  cancel: (backend: SessionBackend, ...args: Args<"cancel">) => backend.cancel(...args),
  rewrite: (backend: SessionBackend, ref: Args<"rewrite">[0], request: Args<"rewrite">[1], lines: readonly Uint8Array[]) =>
    backend.rewrite(ref, { ...request, lines: given(lines) }),
  delete: (backend: SessionBackend, ...args: Args<"delete">) => backend.delete(...args),
};

function clientOf(socket: Socket, store: string): SessionBackend {
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  let number = 0;
  let closed = false;
  framed(socket, (message) => {
    const { number: to, value, error } = message as Answer;
    const one = waiting.get(to);
    waiting.delete(to);
    if (error === undefined) one?.resolve(value);
    else one?.reject(new AixgoError(error.code, error.message));
  });
  socket.on("error", () => socket.destroy());
  async function ask<T>(method: string, ...args: readonly unknown[]): Promise<T> {
    ready();
    number += 1;
    const answer = new Promise((resolve, reject) => waiting.set(number, { resolve, reject }));
    send(socket, { number, store, method, args } satisfies Call);
    return (await answer) as T;
  }
  function ready(signal?: AbortSignal): void {
    if (closed) throw new AixgoError("BACKEND_CLOSED", "this client has been closed");
    if (signal?.aborted === true) throw new AixgoError("CANCELLED", "given up");
  }
  return {
    name: "remote",
    capabilities: { sharedBy: "host", durability: "memory", maxLineBytes: 512 * 1024, indexedMetadata: [], ttl: false },
    async create({ ref, info, onKey, lines }) {
      ready();
      return ask("create", { ref, info, onKey }, await collect(lines(ref.id)));
    },
    head: (id) => ask("head", id),
    async append(ref, { signal, ...request }): Promise<Appended> {
      ready(signal);
      return ask("append", ref, { ...request, lines: request.lines.map((line) => Uint8Array.from(line)) });
    },
    async *read(ref, { signal, ...range } = {}) {
      ready(signal);
      for (const page of await ask<readonly Uint8Array[]>("read", ref, range)) {
        ready(signal);
        yield Uint8Array.from(page);
      }
    },
    find: (ref, what) => ask("find", ref, what),
    list: (query) => ask("list", query),
    renew: (ref, lease, ttlMs) => ask("renew", ref, lease, ttlMs),
    cancel: (ref, reason) => ask("cancel", ref, reason),
    async rewrite(ref, { lines, ...request }) {
      ready();
      return ask("rewrite", ref, request, await collect(lines));
    },
    delete: (ref, options) => ask("delete", ref, options),
    async close() {
      closed = true;
      socket.destroy();
    },
  };
}

async function dial(port: string): Promise<Socket> {
  const socket = connect(Number(port), "127.0.0.1");
  socket.setNoDelay(true);
  await new Promise<void>((resolve, reject) => socket.once("error", reject).once("connect", resolve));
  return socket;
}

/** Messages are a length of four bytes and what `v8.serialize` made. */
function send(socket: Socket, message: Call | Answer): void {
  const body = serialize(message);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  if (!socket.destroyed) socket.write(Buffer.concat([length, body]));
}

function framed(socket: Socket, receive: (message: unknown) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE()) {
      const end = 4 + rest.readUInt32BE();
      const message = deserialize(rest.subarray(4, end)) as unknown;
      rest = rest.subarray(end);
      receive(message);
    }
  });
}

async function collect<T>(all: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const one of all) items.push(one);
  return items;
}

async function* given<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}
