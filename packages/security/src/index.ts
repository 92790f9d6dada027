export { assertUserText, isUserText, isWellFormed, MAX_USER_TEXT_BYTES } from "./text.ts";
export { assertSafeName, isSafeName, MAX_NAME_BYTES } from "./names.ts";
export { assertSessionId, isSessionId, newEntryId, newSessionId, newToken } from "./ids.ts";
export { encodeSegment, expandHome, MAX_SEGMENT_BYTES, safeJoin } from "./paths.ts";
export { assertJson, DEFAULT_JSON_LIMITS } from "./limits.ts";
export type { JsonLimits } from "./limits.ts";
export { cloneJson, freezeJson } from "./copies.ts";
export { isSecretName, redact, redactError } from "./redact.ts";
export type { RedactedError } from "./redact.ts";
