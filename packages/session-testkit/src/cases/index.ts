import type { Case } from "../harness/case.ts";
import { appendCases } from "./append.ts";
import { blobCases } from "./blobs.ts";
import { blobLifeCases } from "./blobs-life.ts";
import { clockCases } from "./clocks.ts";
import { concurrencyCases } from "./concurrency.ts";
import { createCases } from "./create.ts";
import { deleteCases } from "./delete.ts";
import { failoverCases } from "./failover.ts";
import { feedCases } from "./feed.ts";
import { findCases } from "./find.ts";
import { keyCases } from "./keys.ts";
import { killedCases } from "./killed.ts";
import { leaseCases } from "./lease.ts";
import { lifecycleCases } from "./lifecycle.ts";
import { listFilterCases } from "./list-filters.ts";
import { listPageCases } from "./list-pages.ts";
import { listCases } from "./list.ts";
import { processCases } from "./processes.ts";
import { readCases } from "./read.ts";
import { rewriteCases } from "./rewrite.ts";
import { staleWriterCases } from "./stale-writers.ts";
import { ttlCases } from "./ttl.ts";
import { watchCases } from "./watch.ts";

/** Every case, in the order in which they run. */
export const cases: readonly Case[] = [
  ...lifecycleCases,
  ...createCases,
  ...appendCases,
  ...concurrencyCases,
  ...leaseCases,
  ...readCases,
  ...findCases,
  ...listCases,
  ...listPageCases,
  ...listFilterCases,
  ...keyCases,
  ...deleteCases,
  ...rewriteCases,
  ...feedCases,
  ...watchCases,
  ...blobCases,
  ...blobLifeCases,
  ...ttlCases,
  ...processCases,
  ...staleWriterCases,
  ...killedCases,
  ...clockCases,
  ...failoverCases,
];
