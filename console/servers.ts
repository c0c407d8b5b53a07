import type { ConsolePolicy } from "../core/judge/judge.ts";
import type { ServerConsole } from "../engine/console.ts";

/** One server that the web console offers. */
export interface OfferedServer {
  readonly console: ServerConsole;
  readonly policy: ConsolePolicy;
  /** Aborted once it is offered no longer, or is declared otherwise. */
  readonly withdrawn?: AbortSignal;
}

/** The servers that there are now. One whose console is switched off is none of them. */
export interface OfferedServers {
  names(): readonly string[];
  find(name: string): OfferedServer | undefined;
}
