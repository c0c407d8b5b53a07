import { readFileSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, relative, resolve } from "node:path";
import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import type { ConfFiles, EffectiveView, Encoding } from "../../core/conf/index.ts";
import { effectiveView, encodingOf, parse, stringify } from "../../core/conf/index.ts";
import type { SecretRule } from "../../core/conf/secrets.ts";
import { AsteriskIacError, messageOf } from "../../core/errors.ts";
import { declaredRules } from "../../core/resource/secret-keys.ts";
import { confDirectory } from "../conf-directory.ts";
import type { GlobalOptions } from "../context.ts";
import { loadManifests } from "../manifests.ts";
import type { Shell } from "../program.ts";
import type { Paint } from "../terminal.ts";
import { painter, printable } from "../terminal.ts";
import { lintFiles } from "./lint.ts";

/** Options that `conf show` and `conf lint` share. */
export interface ConfOptions {
  readonly configDirectory?: string;
  readonly asterisk: number;
}

export function addConfCommands(program: Command, shell: Shell): void {
  const conf = program.command("conf").description("read .conf files of this machine as Asterisk reads them");
  const withDirectory = (command: Command): Command =>
    command
      .option("--config-directory <dir>", "where includes are looked for (default: the file's own directory)")
      .option("--asterisk <version>", "major version of the Asterisk that reads them", majorVersion, 22);

  withDirectory(conf.command("show"))
    .description("what Asterisk sees: templates, includes and += resolved")
    .argument("<file...>", "files to show")
    .option("--raw", "parse and print the files as they are, byte for byte")
    .addHelpText(
      "after",
      `
Exits with 1 where Asterisk would refuse the file. Prints secrets as the files hold them.

Examples:
  $ asteriskctl conf show /etc/asterisk/pjsip.conf
  $ asteriskctl --output json conf show pjsip.conf | jq '.sections[].name'`,
    )
    .action((files: string[], options: ConfOptions & { raw?: boolean }, command: Command) => {
      if (options.raw === true) showRaw(shell, files);
      else show(shell, files, options, command.optsWithGlobals<GlobalOptions>());
    });

  withDirectory(conf.command("lint"))
    .description("what is wrong, what Asterisk will really do, and how to mend it")
    .argument("<file...>", "files, or directories of them")
    .option("--allow-exec", "accept #exec")
    .addHelpText(
      "after",
      `
Fragments are judged in the place that includes them. Exits with 1 on errors: what Asterisk refuses, and what
deletes a user, widens a listener or drops the rest of a file. With -f, what the secretKeys of the servers declared
there call a secret is not shown either; their files are paths below the directory that is linted.

Examples:
  $ asteriskctl conf lint /etc/asterisk
  $ asteriskctl conf lint --config-directory /etc/asterisk manager.conf
  $ asteriskctl -f . conf lint source/pbx1`,
    )
    .action(async (files: string[], options: ConfOptions & { allowExec?: boolean }, command: Command) => {
      const { output, filename } = command.optsWithGlobals<GlobalOptions>();
      const declaredSecrets = filename === undefined ? [] : await declaredSecretsIn(filename);
      if (lintFiles(shell.terminal, files, { ...options, declaredSecrets }, output)) shell.exitWith(1);
    });
}

/** What the servers of these manifests declare to be secret. */
async function declaredSecretsIn(manifests: readonly string[]): Promise<SecretRule[]> {
  const { servers } = await loadManifests(manifests);
  return servers.flatMap(({ resource: { spec } }) => declaredRules(spec.source?.git?.secretKeys));
}

/** A file given on the command line, as a path below the directory that its includes are looked for in. */
export function locate(
  file: string,
  configDirectory: string | undefined,
): { files: ReturnType<typeof confDirectory>; path: string; directory: string } {
  const directory = resolve(configDirectory ?? dirname(file));
  const path = configDirectory === undefined ? basename(file) : relative(directory, resolve(file));
  if (path === "" || isAbsolute(path) || path.split("/").includes("..")) {
    throw new AsteriskIacError("InvalidArgument", `${file} is not below ${directory}`, {
      hint: "Name the directory that holds it with --config-directory.",
    });
  }
  return { files: confDirectory(directory), path, directory };
}

function showRaw({ terminal }: Shell, files: readonly string[]): void {
  for (const file of files) terminal.stdout.write(stringify(parse(readFile(file))));
}

function show(
  { terminal, exitWith }: Shell,
  names: readonly string[],
  options: ConfOptions,
  { output }: GlobalOptions,
): void {
  const documents: object[] = [];
  for (const name of names) {
    const bytes = readFile(name);
    const { files, path, directory } = locate(name, options.configDirectory);
    const view = effectiveView(path, files as ConfFiles, {
      asteriskVersion: options.asterisk,
      configDirectory: directory,
    });
    if (view.invalid !== undefined) {
      const { file, line, kind, subject } = view.invalid;
      throw new AsteriskIacError(
        "ConfInvalid",
        `Asterisk refuses ${name}: ${kind}${subject === "" ? "" : ` (${subject})`}`,
        {
          where: { file: resolve(directory, file), line },
          hint: `asteriskctl conf lint ${name} says more.`,
        },
      );
    }
    if (view.incomplete)
      terminal.stderr.write(
        `${name}: incomplete: it holds an #exec, or includes what lies outside ${directory}\n`,
      );
    const encoding = encodingOf(bytes);
    if (output === "json") documents.push(showDocument(name, encoding, view));
    else terminal.stdout.write(`${showText(name, view, painter(terminal.stdout)).join("\n")}\n`);
  }
  if (output === "json")
    terminal.stdout.write(
      `${JSON.stringify(documents.length === 1 ? documents[0] : documents, undefined, 2)}\n`,
    );
  exitWith(0);
}

function showDocument(file: string, encoding: Encoding, view: EffectiveView): object {
  const sections = view.sections.map(({ name, template, inherits, file, line, variables }) => ({
    name,
    template,
    inherits,
    file,
    line,
    variables: variables.map(({ name, value, operator, file, line }) => ({
      name,
      value,
      operator,
      file,
      line,
    })),
  }));
  return { file, encoding, sections };
}

function showText(name: string, view: EffectiveView, paint: Paint): string[] {
  const lines = [paint("dim", `; ${name} as Asterisk reads it`)];
  for (const section of view.sections) {
    const parents = [...(section.template ? ["!"] : []), ...section.inherits].join(",");
    lines.push(
      "",
      `${paint("bold", `[${printable(section.name)}]${parents === "" ? "" : `(${printable(parents)})`}`)}  ${paint("dim", `; ${section.file}:${section.line}`)}`,
    );
    for (const { name, value, operator, file, line, inherited } of section.variables) {
      lines.push(
        `${printable(name)} ${operator} ${printable(value)}  ${paint("dim", `; ${file}:${line}${inherited ? ", inherited" : ""}`)}`,
      );
    }
  }
  return lines;
}

function readFile(file: string): Buffer {
  try {
    if (statSync(file).isDirectory()) throw new Error("is a directory");
    return readFileSync(file);
  } catch (cause) {
    throw new AsteriskIacError("InvalidArgument", `can't read it: ${messageOf(cause)}`, {
      where: { file },
      cause,
    });
  }
}

function majorVersion(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 11 || value > 99)
    throw new InvalidArgumentError("must be a major version such as 22");
  return value;
}
