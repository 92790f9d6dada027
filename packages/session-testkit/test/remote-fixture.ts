import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { deserialize, serialize } from "node:v8";
import { AixgoError, isAixgoError } from "@aixgo/core";
import { createMemoryBackend } from "@aixgo/session";
import {
  type Appended,
  type BlobStore,
  type CreateRequest,
  receiveBlob,
  type Ref,
  type RewriteRequest,
  type SessionBackend,
} from "@aixgo/session/backend";
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
    offers: ["watch", "blobs"],
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

/** A request whose lines travel beside it, and what they name with it. */
type Sent<R extends { readonly blobs?: () => unknown; readonly lines: unknown }> = Omit<R, "blobs" | "lines"> & {
  readonly blobs?: ReturnType<NonNullable<R["blobs"]>>;
};

const handlers = {
  create: (backend: SessionBackend, { blobs, ...request }: Sent<CreateRequest>, lines: readonly Uint8Array[]) =>
    backend.create({ ...request, lines: () => given(lines), ...(blobs === undefined ? undefined : { blobs: () => blobs }) }),
  head: (backend: SessionBackend, ...args: Args<"head">) => backend.head(...args),
  append: (backend: SessionBackend, ...args: Args<"append">) => backend.append(...args),
  read: async (backend: SessionBackend, ...args: Args<"read">) => collect(backend.read(...args)),
  find: (backend: SessionBackend, ...args: Args<"find">) => backend.find(...args),
  list: (backend: SessionBackend, ...args: Args<"list">) => backend.list(...args),
  renew: (backend: SessionBackend, ...args: Args<"renew">) => backend.renew(...args),
  cancel: (backend: SessionBackend, ...args: Args<"cancel">) => backend.cancel(...args),
  rewrite: (backend: SessionBackend, ref: Ref, { blobs, ...request }: Sent<RewriteRequest>, lines: readonly Uint8Array[]) =>
    backend.rewrite(ref, { ...request, lines: given(lines), ...(blobs === undefined ? undefined : { blobs: () => blobs }) }),
  delete: (backend: SessionBackend, ...args: Args<"delete">) => backend.delete(...args),
  putBlob: ({ blobs }: SessionBackend, ref: Ref, digest: string | undefined, chunks: readonly Uint8Array[]) =>
    (blobs as BlobStore).put(ref, digest, given(chunks)),
  getBlob: ({ blobs }: SessionBackend, ref: Ref, digest: string) => collect((blobs as BlobStore).get(ref, digest)),
  touchBlob: ({ blobs }: SessionBackend, ref: Ref, digest: string) => (blobs as BlobStore).touch(ref, digest),
  collectBlobs: ({ blobs }: SessionBackend, ...args: Parameters<BlobStore["collect"]>) => (blobs as BlobStore).collect(...args),
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
    capabilities: {
      sharedBy: "host",
      durability: "memory",
      maxLineBytes: 512 * 1024,
      indexedMetadata: [],
      ttl: false,
      maxBlobBytes: 64 * 1024 * 1024,
    },
    async create({ ref, info, onKey, lines, blobs }) {
      ready();
      const drawn = await collect(lines(ref.id));
      return ask("create", { ref, info, onKey, blobs: blobs?.() }, drawn);
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
    async rewrite(ref, { lines, blobs, ...request }) {
      ready();
      const drawn = await collect(lines);
      return ask("rewrite", ref, { ...request, blobs: blobs?.() }, drawn);
    },
    delete: (ref, options) => ask("delete", ref, options),
    async *watch(ref, after, signal) {
      // A poor store's hints: it asks. That the session is gone is told by the next look at it.
      let seen: string | undefined = after.hash;
      for (let isFirst = true; !signal.aborted && !closed; isFirst = false) {
        const asked = ask<{ readonly hash: string }>("head", ref.id).then(({ hash }) => hash);
        const now: string | undefined = await (isFirst ? asked : asked.catch(() => undefined));
        if (now === seen) await new Promise((resolve) => setTimeout(resolve, 5));
        else yield;
        seen = now;
      }
    },
    blobs: {
      async put(ref, digest, body, { signal } = {}) {
        ready();
        if (digest !== undefined && (await ask<boolean>("touchBlob", ref, digest))) return digest;
        const chunks: Uint8Array[] = [];
        const operation = `put an attachment of session ${ref.id}`;
        await receiveBlob({ operation, body, expected: digest, maxBytes: 64 * 1024 * 1024, signal }, (chunk) => {
          chunks.push(Uint8Array.from(chunk));
        });
        return ask("putBlob", ref, digest, chunks);
      },
      async *get(ref, digest) {
        yield* await ask<readonly Uint8Array[]>("getBlob", ref, digest);
      },
      touch: (ref, digest) => ask("touchBlob", ref, digest),
      collect: (ref, keep, olderThanMs) => ask("collectBlobs", ref, keep, olderThanMs),
    },
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
