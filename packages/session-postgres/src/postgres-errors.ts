import { AixgoError, type ErrorCode, isAixgoError } from "@aixgo/core";

/** What a command does: an answer that is lost leaves the outcome of a `write` open. */
export type Effect = "read" | "write";

/** The deadline has passed. What was sent may still be carried out. */
export class NoAnswer extends Error {
  readonly timeoutMs: number;

  constructor(timeoutMs: number) {
    super(`no answer within ${timeoutMs} ms`);
    this.timeoutMs = timeoutMs;
  }
}

/** Nothing has been sent: there was no connection to send it on. */
export class NoConnection extends Error {
  /** `host:port/database`, as far as it is known; never a password. */
  readonly target: string;

  constructor(cause: unknown, source: object) {
    super("no connection", { cause });
    this.target = targetOf(source);
  }
}

/** Classes of SQLSTATE for which the server promises that the statement has been undone, and others can be told apart from them. */
const LOST = /^(08|57P0[1-4]|40003)/;
/** Undone by the server because of others: the same statement may succeed at once. */
const UNDONE = new Set(["40001", "40P01"]);

/** Whether the connection can no longer be trusted: all that is no ordinary answer of the server. */
export function isConnectionLost(error: unknown): boolean {
  if (error instanceof NoConnection || isAixgoError(error)) return false;
  const { sqlstate, severity } = stateOf(error);
  return sqlstate === undefined || severity === "FATAL" || severity === "PANIC" || LOST.test(sqlstate);
}

/** Whether the server has undone it because of others: a deadlock, or a serialization failure. */
export function isUndone(error: unknown): boolean {
  return !isAixgoError(error) && UNDONE.has(stateOf(error).sqlstate ?? "");
}

/** Whether to send the statement again: it has certainly been undone, or it only reads and met a connection that had died before. */
export function isRetried(error: unknown, effect: Effect): boolean {
  if (error instanceof NoConnection || error instanceof NoAnswer || isAixgoError(error)) return false;
  return isUndone(error) || (effect === "read" && isConnectionLost(error));
}

/** SQLSTATE of an error that the server answered with. */
export function stateOf(error: unknown): { readonly sqlstate?: string; readonly severity?: string } {
  const { code, severity } = (error ?? {}) as { code?: unknown; severity?: unknown };
  // Codes of Node (ECONNRESET) are no SQLSTATE: those have five characters, and come with a severity.
  if (typeof code !== "string" || !/^[0-9A-Z]{5}$/.test(code)) return {};
  return { sqlstate: code, ...(typeof severity === "string" ? { severity } : undefined) };
}

interface Meaning {
  readonly code: ErrorCode;
  readonly text: string;
  readonly retryable?: boolean;
}

const UNAVAILABLE = "BACKEND_UNAVAILABLE";

/** What SQLSTATEs mean to a caller; the first prefix that fits counts. The statement has been undone in all of them. */
const MEANINGS: readonly (readonly [prefix: string, meaning: Meaning])[] = [
  ["28", { code: "UNAUTHENTICATED", text: "the server refuses this user or its password" }],
  ["3D000", { code: UNAVAILABLE, text: "this database does not exist. Create it, or name another", retryable: false }],
  ["42501", { code: "PERMISSION_DENIED", text: "the role lacks a right, or a row security policy forbids it. See grantSql" }],
  ["25006", { code: UNAVAILABLE, text: "the server is read-only: connect to the primary" }],
  [
    "3F000",
    {
      code: UNAVAILABLE,
      text: "the schema is not there. Let a backend with migrate: true run once, or apply migrationSql",
      retryable: false,
    },
  ],
  [
    "42P01",
    { code: UNAVAILABLE, text: "a table is not there. Let a backend with migrate: true run once, or apply migrationSql", retryable: false },
  ],
  [
    "42883",
    {
      code: UNAVAILABLE,
      text: "a function is not there. Let a backend with migrate: true run once, or apply migrationSql",
      retryable: false,
    },
  ],
  [
    "42704",
    { code: UNAVAILABLE, text: "a type is not there. Let a backend with migrate: true run once, or apply migrationSql", retryable: false },
  ],
  ["53100", { code: UNAVAILABLE, text: "the disk of the server is full. Free some space" }],
  ["53200", { code: UNAVAILABLE, text: "the server is out of memory" }],
  ["53300", { code: UNAVAILABLE, text: "the server takes no more connections. Lower maxConnections, or put a pooler in front" }],
  ["53", { code: UNAVAILABLE, text: "the server lacks resources" }],
  ["54", { code: "LIMIT_EXCEEDED", text: "the server takes nothing as large as this" }],
  ["55P03", { code: "STORE_BUSY", text: "another transaction holds the session's row for too long" }],
  ["57014", { code: UNAVAILABLE, text: "the server cancelled the command (statement_timeout, or an administrator)" }],
  ["57P03", { code: UNAVAILABLE, text: "the server is starting up or shutting down" }],
  ["40", { code: UNAVAILABLE, text: "the server undid it several times because of others" }],
  ["22021", { code: "INVALID_INPUT", text: "a text holds what the server's encoding cannot" }],
  ["22P05", { code: "INVALID_INPUT", text: "a text holds what the server's encoding cannot" }],
  ["23505", { code: "ENTRY_CORRUPT", text: "entries stand where the log ends by its head" }],
  ["XX001", { code: "ENTRY_CORRUPT", text: "the server found damaged data" }],
  ["XX002", { code: "ENTRY_CORRUPT", text: "the server found a damaged index" }],
];

/** The one border where errors of the driver and the server become ours. */
export function failureOf(error: unknown, doing: string, effect: Effect): AixgoError {
  if (isAixgoError(error)) return error;
  if (error instanceof NoConnection) return unreachable(error, doing);
  if (error instanceof NoAnswer) return lost(`the server did not answer within ${error.timeoutMs} ms`, error, doing, effect);
  const { sqlstate } = stateOf(error);
  if (isConnectionLost(error))
    return lost(`the connection broke${sqlstate === undefined ? "" : ` (${sqlstate})`}`, bare(error), doing, effect);
  const known = MEANINGS.find(([prefix]) => sqlstate?.startsWith(prefix))?.[1];
  const { code, text, retryable } = known ?? { code: UNAVAILABLE, text: "the server refuses the command", retryable: false };
  const options = { cause: bare(error), details: { sqlstate: sqlstate ?? null }, ...(retryable === undefined ? undefined : { retryable }) };
  return new AixgoError(code, `${doing}: ${text} (${sqlstate}); nothing was written`, options);
}

function lost(what: string, cause: unknown, doing: string, effect: Effect): AixgoError {
  return effect === "write"
    ? new AixgoError("OUTCOME_UNKNOWN", `${doing}: ${what}; it may have been written or not`, { cause })
    : new AixgoError(UNAVAILABLE, `${doing}: ${what}`, { cause });
}

function unreachable({ cause, target }: NoConnection, doing: string): AixgoError {
  if (cause instanceof NoAnswer)
    return new AixgoError(
      UNAVAILABLE,
      `${doing}: no connection to ${target} became free within ${cause.timeoutMs} ms; nothing was written`,
      { cause },
    );
  const { sqlstate } = stateOf(cause);
  const known = MEANINGS.find(([prefix]) => sqlstate?.startsWith(prefix))?.[1];
  const options = { cause: bare(cause), details: { sqlstate: sqlstate ?? null, errno: errnoOf(cause) ?? null } };
  if (known !== undefined)
    return new AixgoError(known.code, `${doing}: ${target}: ${known.text} (${sqlstate}); nothing was written`, {
      ...options,
      ...(known.retryable === undefined ? undefined : { retryable: known.retryable }),
    });
  const errno = errnoOf(cause);
  const text = messageOf(cause);
  // Raised by the driver itself, before the server could refuse: the only sign is the text.
  if (/password must be a string|SASL|SCRAM|no password/i.test(text))
    return new AixgoError(
      "UNAUTHENTICATED",
      `${doing}: ${target}: a password is needed, and none that fits was given; nothing was written`,
      options,
    );
  if (/timeout/i.test(text) && errno === undefined)
    return new AixgoError(UNAVAILABLE, `${doing}: no connection to ${target} became free in time; nothing was written`, options);
  const isCertificate = /CERT|SSL|TLS|SELF_SIGNED/.test(errno ?? "") || /SSL|certificate/i.test(text);
  const why = isCertificate
    ? `TLS failed (${errno ?? "the server does not speak it"})`
    : `cannot be reached (${errno ?? sqlstate ?? "the connection was closed"})`;
  return new AixgoError(UNAVAILABLE, `${doing}: ${target} ${why}; nothing was written`, {
    ...options,
    ...(isCertificate ? { retryable: false } : undefined),
  });
}

/** Node's code of an error, also of the first of several that a name with several addresses brings. */
function errnoOf(error: unknown): string | undefined {
  const { code, errors } = (error ?? {}) as { code?: unknown; errors?: unknown };
  if (typeof code === "string") return code;
  return Array.isArray(errors) ? errnoOf(errors[0]) : undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : "";
}

/** A cause without what the driver hangs on its errors: statements, values and the connection's parameters. */
function bare(error: unknown): Error {
  const { sqlstate, severity } = stateOf(error);
  const code = sqlstate ?? errnoOf(error);
  const { routine, constraint } = (error ?? {}) as { routine?: unknown; constraint?: unknown };
  return Object.assign(new Error(code === undefined ? "the connection ended" : `PostgreSQL: ${code}`), {
    ...(code === undefined ? undefined : { code }),
    ...(severity === undefined ? undefined : { severity }),
    ...(typeof routine === "string" ? { routine } : undefined),
    ...(typeof constraint === "string" ? { constraint } : undefined),
  });
}

function targetOf(source: object): string {
  const { connectionString, pool } = source as {
    connectionString?: string;
    pool?: { options?: { host?: unknown; port?: unknown; database?: unknown; connectionString?: unknown } };
  };
  const text = connectionString ?? pool?.options?.connectionString;
  if (typeof text === "string") {
    try {
      const { hostname, port, pathname } = new URL(text);
      return `${hostname === "" ? "localhost" : hostname}:${port === "" ? "5432" : port}${pathname}`;
    } catch {
      return "the server";
    }
  }
  const { host, port, database } = pool?.options ?? {};
  return typeof host === "string"
    ? `${host}:${typeof port === "number" || typeof port === "string" ? port : 5432}${typeof database === "string" ? `/${database}` : ""}`
    : "the server";
}
