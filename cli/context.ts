import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Command } from "commander";
import { AsteriskIacError } from "../core/errors.ts";
import { DirectorySource } from "../engine/directory-source.ts";
import type { ServerDeclaration } from "../engine/session.ts";
import type { SecretStore } from "../engine/secrets.ts";
import { loadManifests } from "./manifests.ts";
import { SecretDirectory } from "./secrets.ts";

export type OutputFormat = "text" | "json" | "markdown";

/** The options that stand before the command. */
export interface GlobalOptions {
  readonly filename?: string[];
  readonly secrets?: string;
  readonly output: OutputFormat;
}

/** What a command that works on servers needs. */
export interface ServerContext {
  readonly servers: readonly ServerDeclaration[];
  readonly secrets: SecretStore;
  readonly output: OutputFormat;
  /** Whether the manifests, read again, still say the same of a server. */
  readonly stillDeclared: (name: string) => Promise<boolean>;
  /** The manifest that declares a server. */
  readonly manifestOf: (name: string) => string;
}

/** Reads the manifests and picks the named servers, all of them without names. */
export async function serverContext(command: Command, names: readonly string[]): Promise<ServerContext> {
  return contextOf(command.optsWithGlobals<GlobalOptions>(), names);
}

/** The same, of options that are given otherwise. */
export async function contextOf(options: GlobalOptions, names: readonly string[]): Promise<ServerContext> {
  const files = options.filename ?? ["."];
  const manifests = await loadManifests(files);
  if (manifests.servers.length === 0) {
    throw new AsteriskIacError("InvalidArgument", `no AsteriskServer is declared in ${files.join(", ")}`, {
      hint: "Name the manifests with -f FILE or -f DIR. `asteriskctl lab up --count 1 --dir DIR` makes some to try.",
    });
  }
  const known = new Map(manifests.servers.map((server) => [server.name, server]));
  for (const name of names) {
    if (known.has(name)) continue;
    throw new AsteriskIacError("InvalidArgument", `no AsteriskServer is called ${name}`, {
      hint: `Declared are: ${[...known.keys()].join(", ")}.`,
    });
  }
  const chosen = manifests.servers.filter((server) => names.length === 0 || names.includes(server.name));
  return {
    servers: chosen.map(({ name, resource, sourceDirectory }) => ({
      name,
      spec: resource.spec,
      source: new DirectorySource(sourceDirectory),
      ...manifests.resourcesOf(name),
    })),
    secrets: new SecretDirectory(options.secrets ?? join(manifests.directory, "secrets"), manifests.secrets),
    output: options.output,
    manifestOf: (name) => known.get(name)?.file ?? "",
    stillDeclared: async (name) => {
      const now = await loadManifests(files);
      const server = now.servers.find((each) => each.name === name);
      return (
        isDeepStrictEqual(server?.resource, known.get(name)?.resource) &&
        isDeepStrictEqual(now.resourcesOf(name), manifests.resourcesOf(name))
      );
    },
  };
}
