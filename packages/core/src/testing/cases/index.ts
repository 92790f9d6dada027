import type { RuntimeCase } from "../case.ts";
import { callCases } from "./call.ts";
import { cancelCases } from "./cancel.ts";
import { healthCases } from "./health.ts";
import { limitCases } from "./limits.ts";
import { mailboxCases } from "./mailboxes.ts";
import { mailboxLifeCases } from "./mailbox-life.ts";
import { nestingCases } from "./nesting.ts";
import { parallelCases } from "./parallel.ts";
import { phaseCases } from "./phases.ts";
import { registerCases } from "./register.ts";
import { startCases } from "./start.ts";
import { stopCases } from "./stop.ts";
import { streamCases } from "./stream.ts";

/** Every case, by area. */
export const runtimeCases: readonly RuntimeCase[] = [
  ...registerCases,
  ...startCases,
  ...phaseCases,
  ...healthCases,
  ...callCases,
  ...cancelCases,
  ...limitCases,
  ...nestingCases,
  ...parallelCases,
  ...streamCases,
  ...mailboxCases,
  ...mailboxLifeCases,
  ...stopCases,
];
