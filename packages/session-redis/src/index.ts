export { createRedisBackend } from "./redis-backend.ts";
export { DEFAULT_COMMAND_TIMEOUT_MS, DEFAULT_KEY_PREFIX, DEFAULT_MAX_BLOB_BYTES, DEFAULT_MAX_LINE_BYTES } from "./options.ts";
export type { RedisBackendOptions } from "./options.ts";
