/** What the serialized handlers of a program call: `require("asterisk-iac/runtime").forKind("ConfFile").create(…)`. */
import type { Handlers } from "./handlers.ts";
import { accountHandlers, fileHandlers } from "./part-handlers.ts";
import type { Kind } from "./properties.ts";
import { serverHandlers } from "./server-handlers.ts";

export type { Handlers } from "./handlers.ts";
export { closeAll } from "./shared-session.ts";

const handlers: Readonly<Record<Kind, Handlers>> = {
  AsteriskServer: serverHandlers,
  AMIAccount: accountHandlers,
  ConfFile: fileHandlers,
};

/** The handlers of a kind of resource. State of every earlier version is read. */
export function forKind(kind: Kind): Handlers {
  return handlers[kind];
}
