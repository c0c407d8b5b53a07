export type * from "./arguments.ts";
export { AMIAccount, AsteriskServer, ConfFile } from "./resources.ts";
export type { EffectiveSection, InitialImport } from "./resources.ts";
