import { blobMutants } from "./blob-mutants.ts";
import { feedMutants } from "./feed-mutants.ts";
import { appendMutants } from "./append-mutants.ts";
import { keyMutants } from "./key-mutants.ts";
import { leaseMutants } from "./lease-mutants.ts";
import { lifeMutants } from "./life-mutants.ts";
import { listMutants } from "./list-mutants.ts";
import type { Mutant } from "./mutant.ts";
import { outageMutants } from "./outage-mutants.ts";
import { readMutants } from "./read-mutants.ts";
import { remainsMutants } from "./remains-mutants.ts";

/** Broken backends: what the kit must find. */
export const mutants: readonly Mutant[] = [
  ...appendMutants,
  ...leaseMutants,
  ...readMutants,
  ...listMutants,
  ...keyMutants,
  ...lifeMutants,
  ...feedMutants,
  ...blobMutants,
  ...remainsMutants,
  ...outageMutants,
];
