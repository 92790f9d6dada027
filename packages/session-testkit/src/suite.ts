import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { SessionBackend } from "@aixgo/session/backend";
import { cases } from "./cases/index.ts";
import { type Fixture, MANY_SESSIONS } from "./fixture.ts";
import type { Case, CaseContext } from "./harness/case.ts";

const CASE_TIMEOUT_MS = 120_000;
const LEAST_SESSIONS = 100;

/** What the kit needs of a test runner: vitest's, jest's and `node:test`'s functions fit. */
export interface Runner {
  describe(name: string, body: () => void): void;
  it(name: string, body: () => Promise<void>, timeoutMs?: number): void;
}

export interface Suite {
  /** Ids of the cases that were registered. */
  readonly registered: readonly string[];
  /** Cases that this fixture cannot run, and why. */
  readonly notApplicable: readonly { readonly id: string; readonly reason: string }[];
}

export interface CaseResult {
  readonly id: string;
  readonly sentence: string;
  readonly passed: boolean;
  readonly error?: unknown;
}

/** Registers every case that applies, at once. Cases that do not are in the answer, never skipped in silence. */
export function testBackend(runner: Runner, fixture: Fixture): Suite {
  const { applicable, notApplicable } = select(fixture);
  runner.describe(`session backend: ${fixture.name}`, () => {
    for (const one of applicable) {
      runner.it(`${one.id}: ${one.sentence}`, () => runCase(one, fixture), timeoutOf(fixture));
    }
  });
  return { registered: applicable.map(({ id }) => id), notApplicable };
}

/** Runs the cases without a test runner, one after the other, each for `timeoutMs` at most. @throws never because of a case */
export async function runCases(
  fixture: Fixture,
  options: { readonly only?: readonly string[]; readonly timeoutMs?: number } = {},
): Promise<readonly CaseResult[]> {
  const { only, timeoutMs = timeoutOf(fixture) } = options;
  const unknown = only?.find((id) => !cases.some((one) => one.id === id));
  if (unknown !== undefined) throw new Error(`runCases: there is no case ${unknown}`);
  const results: CaseResult[] = [];
  for (const one of select(fixture).applicable) {
    if (only !== undefined && !only.includes(one.id)) continue;
    const { id, sentence } = one;
    try {
      await within(timeoutMs, id, runCase(one, fixture));
      results.push({ id, sentence, passed: true });
    } catch (error) {
      results.push({ id, sentence, passed: false, error });
    }
  }
  return results;
}

/** Grows with what the fixture asks for. */
function timeoutOf({ sessions = MANY_SESSIONS }: Fixture): number {
  return CASE_TIMEOUT_MS * Math.max(1, sessions / MANY_SESSIONS);
}

function select(fixture: Fixture): { readonly applicable: readonly Case[]; readonly notApplicable: Suite["notApplicable"] } {
  const { sessions = MANY_SESSIONS } = fixture;
  if (!Number.isSafeInteger(sessions) || sessions < LEAST_SESSIONS)
    throw new Error(`fixture ${fixture.name}: sessions must be a whole number of at least ${LEAST_SESSIONS}`);
  const applicable: Case[] = [];
  const notApplicable: { readonly id: string; readonly reason: string }[] = [];
  for (const one of cases) {
    const reason = one.needs?.(fixture);
    if (reason === undefined) applicable.push(one);
    else notApplicable.push({ id: one.id, reason });
  }
  return { applicable, notApplicable };
}

async function runCase({ id, run }: Case, fixture: Fixture): Promise<void> {
  const store = `${id.replaceAll("/", "-")}-${randomBytes(6).toString("hex")}`;
  const opened: SessionBackend[] = [];
  const open: CaseContext["open"] = async (how = (name) => fixture.open(name)) => {
    const backend = await how(store);
    opened.push(backend);
    return backend;
  };
  try {
    await run({ fixture, store, backend: await open(), open });
  } finally {
    try {
      for (const backend of opened) await backend.close();
    } finally {
      await fixture.destroy?.(store);
    }
  }
}

async function within(timeoutMs: number, id: string, running: Promise<void>): Promise<void> {
  const controller = new AbortController();
  const late = pause(timeoutMs, undefined, { signal: controller.signal }).then(
    () => Promise.reject(new Error(`${id} did not end within ${timeoutMs} ms`)),
    () => undefined,
  );
  try {
    await Promise.race([running, late]);
  } finally {
    controller.abort();
  }
}
