export { amiAccount, AMIClasses } from "./ami-account.ts";
export type { AMIAccount, AMIAccountSpec } from "./ami-account.ts";
export { apiVersion, resourceName } from "./common.ts";
export { confFile } from "./conf-file.ts";
export type { ConfFile, ConfFileSpec } from "./conf-file.ts";
export { asteriskServer, defaultFiles, fileSelector, pathPolicy } from "./server.ts";
export type { AsteriskServer, AsteriskServerSpec, PathPolicy, UpdateDirection } from "./server.ts";
export { mistakesOf } from "./mistakes.ts";
export type { Mistake } from "./mistakes.ts";
