import { homedir } from "node:os";
import { join } from "node:path";

/** Where the command line keeps what outlives a run and belongs to no manifest: `$XDG_STATE_HOME/asterisk-iac`. */
export function stateDirectory(): string {
  return join(process.env["XDG_STATE_HOME"] || join(homedir(), ".local", "state"), "asterisk-iac");
}
