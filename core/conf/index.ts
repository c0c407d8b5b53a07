/** The .conf format: everything that the rest of the project may use of it. */
export * from "./cst.ts";
export * from "./document.ts";
export * from "./encoding.ts";
export { ConfError, type ConfErrorCode } from "./errors.ts";
export { globAsterisk } from "./glob.ts";
export type { ConfFiles, LoadOptions } from "./load.ts";
export * from "./owned.ts";
export type { FatalKind, Problem, WarningKind } from "./problems.ts";
export { storedName } from "./section-table.ts";
