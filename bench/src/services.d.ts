// What the benchmarks use of the servers that the tests start; the scripts themselves are JavaScript.
declare module "@aixgo/repository-tools/services/redis" {
  export function startRedis(): Promise<{ readonly url: string; stop(): Promise<void> }>;
}
declare module "@aixgo/repository-tools/services/postgres" {
  export function startPostgres(): Promise<{ readonly url: string; stop(): Promise<void> }>;
}
