import type { Command } from "commander";
import { AsteriskIacError } from "../../core/errors.ts";
import type { AccountReport } from "../../engine/account.ts";
import { rotateAccounts, verifyAccounts } from "../../engine/account.ts";
import { SeenServers, withPass } from "../../engine/pass.ts";
import { confirmed } from "../confirm.ts";
import type { ServerContext } from "../context.ts";
import { serverContext } from "../context.ts";
import { presentFleet } from "../fleet.ts";
import type { Shell } from "../program.ts";
import { applyJSON, applyText } from "../render/apply.ts";
import type { Paint } from "../terminal.ts";
import { printable, table } from "../terminal.ts";
import { exitCodeOf } from "./apply.ts";

export function addAccountCommands(program: Command, shell: Shell): void {
  const account = program
    .command("account")
    .description("AMI accounts: declared beside live, and new secrets");
  account
    .command("verify")
    .description("show each attribute of the declared accounts beside what live Asterisk has")
    .argument("[account...]", "AMIAccounts, by resource name (default: all)")
    .addHelpText(
      "after",
      `
Nothing is written and nobody logs in. Exits with 1 where something differs.

Examples:
  $ asteriskctl account verify
  $ asteriskctl account verify crm`,
    )
    .action(async (names: string[], _options: object, command: Command) => {
      const { servers, secrets, output } = await accountContext(command, names);
      const seen = new SeenServers();
      const results = await presentFleet(
        shell.terminal,
        output,
        servers,
        (server) => withPass(server, secrets, { seen }, (pass) => verifyAccounts(pass, names)),
        { command: "account verify", text, json: (accounts) => ({ accounts }) },
      );
      if (results.some((result) => !result.ok || result.value.some(({ ok }) => !ok))) shell.exitWith(1);
    });
  account
    .command("rotate")
    .description("give accounts with a generated secret a new one")
    .argument("<account...>", "AMIAccounts, by resource name")
    .option("--yes", "do not ask")
    .addHelpText(
      "after",
      `
The new secret is kept beside the old one until live Asterisk was seen to let it in. Sessions that were logged in with the
old one are ended, from Asterisk 18.23, 20.8 and 21.3 on. Nothing else of the server is written.

Examples:
  $ asteriskctl account rotate crm
  $ asteriskctl account rotate --yes asterisk-iac`,
    )
    .action(async (names: string[], flags: { yes?: boolean }, command: Command) => {
      const context = await accountContext(command, names);
      const question = `Give ${names.join(", ")} a new secret?`;
      if (flags.yes !== true && !(await confirmed(shell.terminal, question))) return shell.exitWith(1);
      const results = await presentFleet(
        shell.terminal,
        context.output,
        context.servers,
        (server) =>
          withPass(server, context.secrets, { seen: new SeenServers(), writing: true }, (pass) =>
            rotateAccounts(pass, names, {
              allow: new Set(),
              stillDeclared: () => context.stillDeclared(server.name),
            }),
          ),
        { command: "account rotate", text: (_, result, paint) => applyText(result, paint), json: applyJSON },
      );
      for (const result of results) shell.exitWith(exitCodeOf(result.ok ? result.value : undefined));
    });
}

/** The servers of the named accounts; those that have any without names. */
async function accountContext(command: Command, names: readonly string[]): Promise<ServerContext> {
  const context = await serverContext(command, []);
  const declared = context.servers.flatMap(({ accounts }) => accounts.map(({ name }) => name));
  const unknown = names.find((name) => !declared.includes(name));
  if (unknown !== undefined || declared.length === 0) {
    throw new AsteriskIacError(
      "InvalidArgument",
      unknown === undefined ? "no AMIAccount is declared" : `no AMIAccount is called ${unknown}`,
      {
        hint:
          declared.length === 0
            ? "`asteriskctl bootstrap` declares one for asterisk-iac itself; docs/accounts.md shows others."
            : `Declared are: ${declared.join(", ")}.`,
      },
    );
  }
  const servers = context.servers.filter(({ accounts }) =>
    accounts.some(({ name }) => names.length === 0 || names.includes(name)),
  );
  return { ...context, servers };
}

function text(server: string, accounts: readonly AccountReport[], paint: Paint): string[] {
  return accounts.flatMap(({ name, username, checks, problems, ok }) => {
    const rows = checks.map((check) => [
      check.ok ? (check.proved ? "same" : "not shown") : "DIFFERS",
      check.attribute,
      printable(check.declared),
      printable(check.live),
    ]);
    const painted = table([["", "", "declared", "live"], ...rows], (row, column, cell) => {
      const check = checks[row - 1];
      if (column !== 0 || check === undefined) return cell;
      return paint(check.ok ? (check.proved ? "green" : "dim") : "red", cell);
    });
    const title = `${paint("bold", server)}  AMIAccount ${name} (${printable(username)}): ${ok ? paint("green", "as declared") : paint("red", "not as declared")}`;
    return [
      title,
      ...painted.map((line) => `  ${line}`),
      ...checks.flatMap(({ ok: same, attribute, advice }) =>
        same ? [] : [`  ${attribute}: ${advice ?? ""}`],
      ),
      ...problems.map(
        ({ severity, field, message, hint }) =>
          `  ${paint(severity === "error" ? "red" : "yellow", severity)} ${field}: ${printable(message)}. ${printable(hint)}`,
      ),
    ];
  });
}
