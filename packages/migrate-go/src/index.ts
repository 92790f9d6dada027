export { exportGoStore } from "./export-go-store.ts";
export type { ExportGoStoreOptions } from "./export-go-store.ts";
export type { ExportedSession, ExportReport } from "./export-report.ts";
export { sessionIdOf } from "./go-format.ts";
export { importGoStore } from "./import-go-store.ts";
export type { ImportGoStoreOptions } from "./import-options.ts";
export type { ImportedSession, ImportReport } from "./import-report.ts";
export type { RoleOf } from "./go-message.ts";
