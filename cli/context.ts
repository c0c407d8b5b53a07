import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Command } from "commander";
import { AsteriskIacError } from "../core/errors.ts";
import type { Source } from "../core/source.ts";
import { DirectorySource } from "../engine/directory-source.ts";
import type { GitSources } from "../engine/git-source.ts";
import type { ServerDeclaration } from "../engine/session.ts";
import type { SecretStore } from "../engine/secrets.ts";
import type { DeclaredServer } from "./manifests.ts";
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
  /** Where a value is, or would be stored: a file, or a document of the manifests. */
  readonly placeOfSecret: (name: string, key: string) => string;
  /** Of the servers whose source is a repository; undefined where none is. */
  readonly repositories: GitSources | undefined;
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
  const chosen = chooseServers(manifests.servers, names, files);
  const known = new Map(manifests.servers.map((server) => [server.name, server]));
  const secrets = new SecretDirectory(
    options.secrets ?? join(manifests.directory, "secrets"),
    manifests.secrets,
  );
  const isInGit = chosen.some(({ resource: { spec } }) => spec.source?.git !== undefined);
  const repositories = isInGit ? await openRepositories() : undefined;
  const sourceOf = ({ name, resource: { spec }, sourceDirectory }: DeclaredServer): Source => {
    const git = spec.source?.git;
    return git === undefined || repositories === undefined
      ? new DirectorySource(sourceDirectory)
      : repositories.open({ name, spec, git }, secrets);
  };
  return {
    servers: chosen.map((server) => ({
      name: server.name,
      spec: server.resource.spec,
      source: sourceOf(server),
      ...manifests.resourcesOf(server.name),
    })),
    secrets,
    placeOfSecret: (name, key) => secrets.placeOf(name, key),
    repositories,
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

/** Loaded when they are wanted: the libraries of git and its forges would slow down every other run. */
async function openRepositories(): Promise<GitSources> {
  const { GitSources, defaultCacheDirectory } = await import("../engine/git-source.ts");
  return new GitSources({ cacheDirectory: defaultCacheDirectory() });
}

/** The named servers, all of them without names. Throws `InvalidArgument` for a name that none has, and where there are none. */
export function chooseServers(
  servers: readonly DeclaredServer[],
  names: readonly string[],
  files: readonly string[],
): readonly DeclaredServer[] {
  if (servers.length === 0) {
    throw new AsteriskIacError("InvalidArgument", `no AsteriskServer is declared in ${files.join(", ")}`, {
      hint: "Name the manifests with -f FILE or -f DIR. `asteriskctl lab up --count 1 --dir DIR` makes some to try.",
    });
  }
  const known = new Set(servers.map(({ name }) => name));
  for (const name of names) {
    if (known.has(name)) continue;
    throw new AsteriskIacError("InvalidArgument", `no AsteriskServer is called ${name}`, {
      hint: `Declared are: ${[...known].join(", ")}.`,
    });
  }
  return servers.filter(({ name }) => names.length === 0 || names.includes(name));
}
