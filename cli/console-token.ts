import { userInfo } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { Option } from "commander";
import { TokenDirectory } from "../console/tokens.ts";
import { roles } from "../core/judge/commands.ts";
import type { Role } from "../core/judge/commands.ts";
import { AsteriskIacError } from "../core/errors.ts";
import { duration, milliseconds } from "../core/resource/duration.ts";
import type { Shell } from "./program.ts";
import { stateDirectory } from "./state-directory.ts";

/** Where the web console listens unless told otherwise: its own port, on this machine alone. */
export const defaultListen = "127.0.0.1:48001";

/** What the web console keeps: tokens and its own certificate. */
export function consoleDirectory(): string {
  return join(stateDirectory(), "console");
}

/** The tokens that this user's web console takes. */
export function consoleTokens(): TokenDirectory {
  return new TokenDirectory(join(consoleDirectory(), "tokens"));
}

/** Milliseconds of an option's duration, a second or more (`InvalidArgument`). */
export function durationOf(option: string, text: string): number {
  if (duration.safeParse(text).success && milliseconds(text) >= 1000) return milliseconds(text);
  throw new AsteriskIacError("InvalidArgument", `${option}: ${text} is not a duration such as 30m or 8h`);
}

/** Adds `console token`. */
export function addTokenCommand(console: Command, shell: Shell): void {
  console
    .command("token")
    .description("make a token to sign in to the web console with; it is shown once")
    .addOption(new Option("--role <role>", "what its holder may do").choices([...roles]))
    .option("--for <duration>", "how long it is good for", "8h")
    .option("--name <name>", "whom it is for: stands in the audit (default: you)")
    .option("--revoke <name>", "take away all tokens of this person instead, and sign the person out")
    .addHelpText(
      "after",
      `
Examples:
  $ asteriskctl console token --role viewer --for 30m --name alice
  $ asteriskctl console token --revoke alice`,
    )
    .action(async (_options: object, self: Command) => {
      const { terminal } = shell;
      const { role, for: lifetime, name, revoke } = self.optsWithGlobals<TokenOptions>();
      if (revoke !== undefined) {
        const count = await consoleTokens().revoke(revoke);
        terminal.stderr.write(`${count} token${count === 1 ? "" : "s"} of ${revoke} taken away\n`);
        return;
      }
      if (role === undefined || !isRole(role))
        throw new AsteriskIacError("InvalidArgument", "say which role the token is for", {
          hint: `Add --role ${roles.join("|")}.`,
        });
      const who = name ?? userInfo().username;
      const made = await consoleTokens().create({ who, role, validForMs: durationOf("--for", lifetime) });
      terminal.stderr.write(`a token for ${who} as ${role}, good until ${made.expires}:\n`);
      terminal.stdout.write(`${made.token}\n`);
    });
}

interface TokenOptions {
  readonly role?: string;
  readonly for: string;
  readonly name?: string;
  readonly revoke?: string;
}

function isRole(text: string): text is Role {
  return (roles as readonly string[]).includes(text);
}
