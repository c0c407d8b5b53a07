import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { AsteriskIacError } from "../../core/errors.ts";
import type { Allowance } from "../../core/guard.ts";
import { pathPolicy } from "../../core/resource/index.ts";
import type { BootstrapResult } from "../../engine/bootstrap.ts";
import { bootstrapServer } from "../../engine/bootstrap.ts";
import type { AccountPurpose } from "../../engine/bootstrap-account.ts";
import type { SecretStore } from "../../engine/secrets.ts";
import type { ServerDeclaration } from "../../engine/session.ts";
import type { MachineFlags } from "../bootstrap-machine.ts";
import { declareMachine } from "../bootstrap-machine.ts";
import type { GlobalOptions, ServerContext } from "../context.ts";
import { contextOf } from "../context.ts";
import { presentFleet } from "../fleet.ts";
import { addDocument, addRule, replaceManifest } from "../manifest-writer.ts";
import type { Shell } from "../program.ts";
import type { Paint } from "../terminal.ts";
import { printable, table } from "../terminal.ts";
import { allowOption } from "./apply.ts";

interface BootstrapFlags extends MachineFlags {
  readonly allow: readonly Allowance[];
  readonly calls?: boolean;
}

export function addBootstrapCommand(program: Command, shell: Shell): void {
  program
    .command("bootstrap")
    .description("from SSH alone to a working AMI account of asterisk-iac's own")
    .argument("<server>", "an AsteriskServer, or USER@HOST[:PORT] to write its manifest too")
    .option("--name <name>", "USER@HOST: the name of the AsteriskServer (default: from the host's)")
    .option("--dir <dir>", "USER@HOST: where <name>.yaml and secrets/ are written", ".")
    .option(
      "--host-key <fingerprint>",
      "USER@HOST: the host key that is right, as SHA256:…; else it is asked",
    )
    .option("--identity <file>", "USER@HOST: the private key to log in with (default: the SSH agent)")
    .option("--store-key", "USER@HOST: keep that key in secrets/, so that later commands log in with it")
    .option("--calls", "make the account that reads calls instead (see `asteriskctl calls`)")
    .addOption(allowOption())
    .addHelpText(
      "after",
      `
Switches AMI on where it is off (for the server itself only), writes an account with the classes that are needed and no
more, reloads AMI, and looks whether Asterisk has the account and lets it in; if not, the old files come back. The secret
goes to secrets/, the account to the manifest. What is there already is left; run twice, it changes nothing.

Examples:
  $ asteriskctl bootstrap pbx1
  $ asteriskctl bootstrap --calls pbx1                   the account that \`asteriskctl calls\` reads with
  $ asteriskctl bootstrap admin@pbx.example.com --dir pbx
  $ asteriskctl bootstrap admin@pbx.example.com --host-key SHA256:… --identity ~/.ssh/id_ed25519 --store-key`,
    )
    .action(async (target: string, flags: BootstrapFlags, command: Command) => {
      const options = command.optsWithGlobals<GlobalOptions>();
      if (!target.includes("@")) return bootstrapDeclared(shell, await contextOf(options, [target]), flags);
      const { name, filename, secrets, privateKey } = await declareMachine(shell, target, options, flags);
      const context = await contextOf({ ...options, filename: [filename], secrets }, [name]);
      const loggingIn =
        privateKey === undefined
          ? context
          : { ...context, secrets: withKey(context.secrets, name, privateKey) };
      await bootstrapDeclared(shell, loggingIn, flags);
      if (privateKey === undefined || flags.storeKey === true) return;
      shell.terminal.stderr.write(
        `The key of ${flags.identity ?? ""} was not stored: later commands log in with the SSH agent (ssh-add), ` +
          "or run this again with --store-key.\n",
      );
    });
}

/** The secrets with a private key that is used for this run and not stored. */
function withKey(secrets: SecretStore, name: string, key: Buffer): SecretStore {
  return {
    read: async (secret) => {
      const values = await secrets.read(secret);
      return secret === `${name}-ssh` ? new Map([...values, ["ssh-privatekey", key]]) : values;
    },
    readOrCreate: (...given) => secrets.readOrCreate(...given),
    write: (...given) => secrets.write(...given),
    writeAll: (...given) => secrets.writeAll(...given),
    remove: (...given) => secrets.remove(...given),
    appendLine: (...given) => secrets.appendLine(...given),
  };
}

/** What a bootstrap did, on the server and in the manifest. */
interface Bootstrapped extends BootstrapResult {
  readonly manifest: string;
  /** The lines that were added to it. */
  readonly added: readonly string[];
  readonly next: readonly string[];
}

async function bootstrapDeclared(shell: Shell, context: ServerContext, flags: BootstrapFlags): Promise<void> {
  const { servers, secrets, output, manifestOf } = context;
  const results = await presentFleet(
    shell.terminal,
    output,
    servers,
    async (server): Promise<Bootstrapped> => {
      const manifest = manifestOf(server.name);
      const purpose = flags.calls === true ? "calls" : "engine";
      const result = await bootstrapServer(server, secrets, { allow: new Set(flags.allow), purpose });
      const tells = purpose === "calls" ? tellingEvents(server, result) : undefined;
      const added = await declare(manifest, server, { ...result, tells });
      return { ...result, manifest, added, next: nextSteps(server, result, purpose) };
    },
    { command: "bootstrap", text, json },
  );
  if (results.some((result) => !result.ok)) shell.exitWith(1);
}

/** Adds the account to the manifest, and a rule where its file is not ours to write by the rules that are there. */
async function declare(
  file: string,
  { name, spec }: ServerDeclaration,
  result: BootstrapResult & { readonly tells: object | undefined },
): Promise<readonly string[]> {
  const policy = pathPolicy(spec)(result.file);
  const needsRule = policy.kind !== "Managed" || policy.direction !== "ToAsterisk";
  if (result.isDeclared && !needsRule && result.tells === undefined) return [];
  const before = await readFile(file, "utf8");
  if (file.endsWith(".json") && !result.isDeclared) {
    throw new AsteriskIacError("InvalidManifest", "an account can't be added to a manifest in JSON", {
      where: { file },
      hint: "Write the manifest as YAML, then run this again: the account is on the server.",
    });
  }
  const ruled = needsRule ? addRule(before, name, result.file) : { text: before, added: [] };
  const edited = result.isDeclared ? ruled : addDocument(ruled.text, accountResource(name, result));
  const events = result.tells === undefined ? edited : addDocument(edited.text, result.tells);
  await replaceManifest(file, before, events.text);
  return [
    ...ruled.added,
    ...(result.isDeclared ? [] : edited.added),
    ...(result.tells === undefined ? [] : events.added),
  ];
}

const presentation = "CALLERID(pres)";

/**
 * The ConfFile by which Asterisk says with every event when it was and whether the caller may be shown; undefined where it
 * is declared already, or where manager.conf is a distribution's.
 */
function tellingEvents(
  { name, files }: ServerDeclaration,
  { distribution, channelVariables }: BootstrapResult,
): object | undefined {
  if (distribution !== undefined || files.some((file) => file.name === `${name}-calls`)) return undefined;
  const others = channelVariables.filter((variable) => variable !== presentation);
  const lines = ["timestampevents = yes", `channelvars = ${[...others, presentation].join(",")}`];
  return {
    apiVersion: "asterisk-iac.dev/v1alpha1",
    kind: "ConfFile",
    metadata: { name: `${name}-calls` },
    spec: {
      serverRef: { name },
      path: "manager.conf",
      sections: [{ name: "general", lines: `${lines.join("\n")}\n` }],
    },
  };
}

/** The account as a manifest declares it: defaults are left out. */
function accountResource(
  server: string,
  { account: { name, spec }, file, isElsewhere }: BootstrapResult,
): object {
  const { username, read, write, permit, eventFilters, privilegedReason } = spec;
  return {
    apiVersion: "asterisk-iac.dev/v1alpha1",
    kind: "AMIAccount",
    metadata: { name },
    spec: {
      serverRef: { name: server },
      username,
      generate: true,
      read,
      write,
      permit,
      ...(eventFilters.length > 0 ? { eventFilters } : {}),
      ...(privilegedReason === undefined ? {} : { privilegedReason }),
      ...(isElsewhere ? { file } : {}),
    },
  };
}

function nextSteps(
  { name, spec }: ServerDeclaration,
  { isImported, distribution }: BootstrapResult,
  purpose: AccountPurpose,
): string[] {
  if (purpose === "calls") {
    const custom =
      "write `[general](+)` with `timestampevents = yes` and `channelvars = CALLERID(pres)` into manager_custom.conf";
    return [
      distribution === undefined ? `asteriskctl apply ${name}` : custom,
      `asteriskctl calls --follow ${name}`,
    ];
  }
  return [
    ...(isImported ? [] : [`asteriskctl import ${name}`]),
    ...(spec.updateDirection === undefined
      ? ["set spec.updateDirection: ToAsterisk if the source is to be right, FromAsterisk if the server is"]
      : []),
  ];
}

function text(server: string, result: Bootstrapped, paint: Paint): string[] {
  const { account, file, listener, written, kept, checks, manifest, added } = result;
  const isSame = written.length === 0 && added.length === 0 && !result.isReloaded;
  const proved = checks.filter((each) => each.proved).length;
  const rows = [
    ["Asterisk", `${result.asteriskVersion}, ${result.configDirectory}`],
    ["written by", result.distribution ?? "nobody else: no distribution was found"],
    ["AMI", `${result.isSwitchedOn ? "was off, is on now" : "is on"}, at ${listener ?? "?"}`],
    ["account", `${account.spec.username} in ${file}: ${proved} attributes as declared, one login worked`],
    ["secret", `${account.name}, key password`],
    ["server", written.length === 0 ? "no file was written" : `wrote ${written.join(", ")}`],
    ...(kept === undefined
      ? []
      : [["", `the old files are kept: asteriskctl backups restore ${server} ${kept}`]]),
    ["manifest", `${manifest}${added.length === 0 ? ": nothing to add" : " has now"}`],
  ];
  return [
    `${paint("bold", server)}  ${isSame ? "was bootstrapped already; nothing changed" : paint("green", "bootstrapped")}`,
    ...table(rows).map((line) => `  ${printable(line)}`),
    ...added.map((line) => `    ${paint("green", `+ ${printable(line)}`)}`),
    ...result.warnings.map((line) => `  ${paint("yellow", "warning:")} ${printable(line)}`),
    ...result.next.map((line, at) => `  ${at === 0 ? "next:" : "     "} ${line}`),
  ];
}

function json({ account, ...result }: Bootstrapped): object {
  return { account: account.name, username: account.spec.username, ...result };
}
