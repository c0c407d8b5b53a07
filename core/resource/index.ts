export { apiVersion, resourceName } from "./common.ts";
export { asteriskServer, defaultFiles, fileSelector, pathPolicy } from "./server.ts";
export type { AsteriskServer, AsteriskServerSpec, PathPolicy, UpdateDirection } from "./server.ts";
