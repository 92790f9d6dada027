import type { SessionBackend } from "@aixgo/session/backend";

/** Which backend, on what: both ends of a test, the program and who checks it, open it from these words. */
export interface StoreName {
  /** One of `stores/`. */
  readonly kind: "file" | "redis" | "postgres";
  readonly store: string;
  readonly options?: Readonly<Record<string, unknown>>;
}

interface StoreModule {
  openStore(store: string, options?: Readonly<Record<string, unknown>>): SessionBackend;
}

export async function openStore({ kind, store, options }: StoreName): Promise<SessionBackend> {
  // Only the one that is wanted: drivers are slow to load.
  const modules: Readonly<Record<StoreName["kind"], () => Promise<StoreModule>>> = {
    file: () => import("./stores/file.ts"),
    redis: () => import("./stores/redis.ts"),
    postgres: () => import("./stores/postgres.ts"),
  };
  return (await modules[kind]()).openStore(store, options);
}
