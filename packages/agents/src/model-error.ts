import { AixgoError, isAixgoError } from "@aixgo/core";
import { isRecord } from "./json.ts";
import { type LanguageModel, modelName } from "./model.ts";

/** What Node's sockets and its `fetch` say when a connection could not be made or was lost. */
const NETWORK_CODES: ReadonlySet<unknown> = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENETDOWN",
  "EAI_AGAIN",
  "UND_ERR_SOCKET",
  "UND_ERR_CONNECT_TIMEOUT",
  "UND_ERR_HEADERS_TIMEOUT",
  "UND_ERR_BODY_TIMEOUT",
]);
/** Causes of causes that are looked at. */
const MAX_CAUSES = 5;

/**
 * What a provider threw, as ours. The provider's text stays in the cause: it may quote keys and content.
 *
 * `retryable` is what the provider says of it, else what its HTTP status or the loss of a connection says.
 */
export function modelError(agent: string, model: LanguageModel, cause: unknown): AixgoError {
  if (isAixgoError(cause)) return cause;
  const { statusCode, isRetryable, name, code, responseHeaders } = membersOf(cause);
  const status = typeof statusCode === "number" ? statusCode : undefined;
  const label = [name, code].filter((word) => typeof word === "string" && /^[\w.-]{1,64}$/.test(word)).join(" ");
  const failure = status !== undefined ? `status ${status}` : label === "" ? "an error" : label;
  const retryAfterMs = readRetryAfter(responseHeaders);
  return new AixgoError(
    "AGENT_FAILED",
    `agent "${agent}": ${modelName(model)} failed with ${failure}; the cause has the provider's own words`,
    {
      cause,
      retryable: typeof isRetryable === "boolean" ? isRetryable : status === undefined ? isNetworkError(cause) : isPassing(status),
      details: {
        provider: model.provider,
        modelId: model.modelId,
        ...(status === undefined ? undefined : { statusCode: status }),
        ...(retryAfterMs === undefined ? undefined : { retryAfterMs }),
      },
    },
  );
}

/** How long the provider asked to be left alone, in milliseconds. */
export function retryAfterOf(error: unknown): number | undefined {
  if (!isAixgoError(error) || !isRecord(error.details)) return undefined;
  const { retryAfterMs } = error.details;
  return typeof retryAfterMs === "number" ? retryAfterMs : undefined;
}

function isPassing(status: number): boolean {
  return status === 408 || status === 409 || status === 425 || status === 429 || status >= 500;
}

/** `Retry-After` is seconds or a date (RFC 9110, 10.2.3); `retry-after-ms` is what some providers send beside it. */
function readRetryAfter(given: unknown): number | undefined {
  // The AI SDK's errors have a record; whoever hands on what `fetch` gave has `Headers`.
  const headers = given instanceof Headers ? Object.fromEntries(given) : given;
  if (!isRecord(headers)) return undefined;
  const named = (wanted: string): string | undefined => {
    const found = Object.entries(headers).find(([name]) => name.toLowerCase() === wanted)?.[1];
    return typeof found === "string" && found.trim() !== "" ? found.trim() : undefined;
  };
  const ms = Number(named("retry-after-ms"));
  if (Number.isFinite(ms) && ms >= 0) return Math.ceil(ms);
  const after = named("retry-after");
  if (after === undefined) return undefined;
  if (/^\d+(\.\d+)?$/.test(after)) return Math.ceil(Number(after) * 1000);
  const date = Date.parse(after);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

function isNetworkError(error: unknown): boolean {
  let at = error;
  for (let depth = 0; depth < MAX_CAUSES; depth += 1) {
    const { code, cause } = membersOf(at);
    if (NETWORK_CODES.has(code)) return true;
    if (cause === undefined) return false;
    at = cause;
  }
  return false;
}

function membersOf(value: unknown): { readonly [key: string]: unknown } {
  return isRecord(value) || value instanceof Error ? (value as { readonly [key: string]: unknown }) : {};
}
