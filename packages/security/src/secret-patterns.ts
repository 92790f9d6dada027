/**
 * What secrets look like, for `redact.ts`.
 *
 * Every expression is linear in the length of its text by its form, which a test checks: either it repeats one class and nothing
 * else, or each repetition has an upper bound. What needs more (the end of a value) is searched by code.
 */

/** A word between spaces. */
export const WORD: RegExp = /[^\s]+/g;
export const PEM: RegExp = /-----BEGIN [A-Z0-9 ]{1,40}-----/g;
export const PEM_END: RegExp = /-----END [A-Z0-9 ]{1,40}-----/g;

/** What the name of a secret ends with or contains; `[-_ ]?` lets `apiKey`, `api_key`, `API Key` and `api-key` be one. */
const SECRET_NAME = [
  "pass(?:word|wd|phrase|code)",
  "pwd",
  // Words of their own, and only where a value is assigned: `SMTP_PASS=`, `{ "pass": … }`, but not "tests pass: 12".
  "(?<![A-Za-z])(?:pass|bearer)(?=\\\\{0,8}[\"'`]|[ \\t]{0,8}=)",
  "auth[-_ ]?header",
  "secret",
  "credentials?",
  "cookie",
  "authorization",
  "signature",
  "[?&]sig(?==)",
  "(?:api|access|account|auth|client|encryption|license|master|private|secret|service|shared[-_ ]?access|signing|ssh|subscription)[-_ ]?key(?:[-_ ]?id)?",
  "(?:auth|bot|access|refresh|id|session|csrf|xsrf|bearer|security|api)?[-_ ]?token",
].join("|");
/** A secret's name with what may follow it in the name, the closing quote of the name, and the sign of assignment. */
export const ASSIGNMENT: RegExp = new RegExp(
  `(?:${SECRET_NAME})(?:[-_ ]?(?:key|hash|value|data|base64|secret|headers?)){0,2}\\\\{0,8}["'\`]?\\]?[ \\t]{0,8}(?::=|=>|[:=])[ \\t\\r\\n]{0,8}`,
  "gi",
);
/** The same as an argument of a command. */
export const ARGUMENT: RegExp = new RegExp(`--?(?:[a-z]{1,20}-){0,3}(?:${SECRET_NAME})[ \\t]{1,8}(?=[^\\s-])`, "gi");
/** `curl -u user:password`; the ids of `docker run -u 1000:1000` are none. */
export const USER: RegExp = /(?<![^\s"'])(?:-u|--user)[ \t=]{1,8}(?=["']?[^\s:"']{1,100}:[^\s"'])(?!\d{1,10}:\d{1,10}(?!\S))/g;
/** Schemes of the Authorization header, and what `curl` is given. */
export const SCHEME: RegExp =
  /(?<![A-Za-z0-9])(?:[Bb]earer|BEARER|[Aa]pi[Kk]ey)[ \t]{1,8}(?=[^\s])|(?<![A-Za-z0-9])(?:[Bb]asic|[Dd]igest|[Nn]egotiate|[Tt]oken)[ \t]{1,8}(?=[A-Za-z0-9+/]{0,200}[A-Z0-9+/=])/g;
export const OPENING: RegExp = /\\{0,8}["'`]/y;
export const UNQUOTED: RegExp = /[^\s]+/y;
export const SPACE: RegExp = /[ \t]{1,8}/y;
export const GOES_ON: RegExp = /^(?:bearer|basic|digest|negotiate|token|apikey)$|;$/i;

/** What a token may be made of: if its beginning is known, all of the run goes. */
export const RUN: RegExp = /[A-Za-z0-9_\-.+/=~%:*]{8,}/g;
export const KNOWN_TOKEN: RegExp = new RegExp(
  [
    "(?<![A-Za-z0-9])(?:sk|pk|rk|whsec)[-_][A-Za-z0-9_*-]{5}",
    "[spr]k[-_](?:[A-Za-z0-9]{20}|(?:admin|ant|live|or|proj|svcacct|test)[-_])",
    "(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{12}",
    "gh[pousr]_[A-Za-z0-9]{6}",
    "github_pat_",
    "glpat-",
    "xox[a-z]-",
    "xapp-",
    "xoxe\\.",
    "AIza[A-Za-z0-9_-]{20}",
    "ya29\\.",
    "GOCSPX-",
    "npm_[A-Za-z0-9]{20}",
    "pypi-[A-Za-z0-9]{16}",
    "hf_[A-Za-z0-9]{16}",
    "gsk_[A-Za-z0-9]{16}",
    "xai-[A-Za-z0-9]{16}",
    "pplx-[A-Za-z0-9]{16}",
    "r8_[A-Za-z0-9]{16}",
    "SG\\.[A-Za-z0-9_-]{16}",
    "dop_v1_",
    "shpat_",
    "sq0(?:atp|csp)-",
    "AGE-SECRET-KEY-",
    "lin_api_",
    "eyJ[A-Za-z0-9_-]{8}",
    "(?<![0-9])[0-9]{8,10}:AA[A-Za-z0-9_-]{30}",
  ].join("|"),
);
