import { readFile, readdir, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Document } from "yaml";
import { LineCounter, isMap, parseAllDocuments } from "yaml";
import type { ZodType } from "zod";
import { AsteriskIacError, messageOf } from "../core/errors.ts";
import type { AMIAccount, AsteriskServer, ConfFile } from "../core/resource/index.ts";
import { amiAccount, asteriskServer, confFile, mistakesOf, sharesDirectory } from "../core/resource/index.ts";
import type { ServerResources } from "../engine/session.ts";
import type { Secret } from "../engine/secrets.ts";

/** A declared server with the place that relative paths in it are relative to. */
export interface DeclaredServer {
  readonly name: string;
  readonly resource: AsteriskServer;
  /** The manifest and the line where the document begins. */
  readonly file: string;
  readonly line: number;
  /** The absolute directory of its source. */
  readonly sourceDirectory: string;
}

export interface Manifests {
  readonly servers: readonly DeclaredServer[];
  readonly resourcesOf: (server: string) => ServerResources;
  /** `kind: Secret` documents. */
  readonly secrets: ReadonlyMap<string, Secret>;
  /** The directory of the first manifest: `secrets/` in it is the default for `--secrets`. */
  readonly directory: string;
}

/** Where manifests are read: on disk, or in a revision of a repository. Paths are relative to the current directory. */
export interface ManifestFiles {
  /** The names of what is no directory, directly in a directory; undefined for a file. */
  entries(path: string): Promise<readonly string[] | undefined>;
  read(path: string): Promise<Buffer>;
}

const filesOnDisk: ManifestFiles = {
  entries: async (path) => {
    if (!(await stat(path)).isDirectory()) return undefined;
    const entries = await readdir(path, { withFileTypes: true });
    return entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
  },
  read: (path) => readFile(path),
};

interface Mistake {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

const group = "asterisk-iac.dev/";

/**
 * Reads manifests: files, or the YAML files directly in a directory. The same resource twice counts once; other
 * tools' resources in a directory are passed over. Every mistake of every file is reported in one
 * `InvalidManifest`; no value of a field is ever printed.
 */
export async function loadManifests(
  names: readonly string[],
  from: ManifestFiles = filesOnDisk,
): Promise<Manifests> {
  const files = (await Promise.all(names.map((name) => manifestFiles(name, from)))).flat();
  const mistakes: Mistake[] = [];
  const servers = new Map<string, DeclaredServer>();
  const secrets = new Map<string, Secret>();
  const accounts = new Map<string, Declared<AMIAccount>>();
  const confFiles = new Map<string, Declared<ConfFile>>();
  for (const file of files) {
    const text = await readText(file, from);
    const lines = new LineCounter();
    for (const document of parseAllDocuments(text, { lineCounter: lines })) {
      if (!("errors" in document)) continue;
      readDocument(document, { file, lines, mistakes, servers, secrets, accounts, confFiles });
    }
  }
  for (const { resource, file, line } of [...accounts.values(), ...confFiles.values()]) {
    const { name } = resource.spec.serverRef;
    if (servers.has(name)) continue;
    const message = `serverRef.name: no AsteriskServer is called ${name}`;
    mistakes.push({ file, line, message });
  }
  const contents = await readContents([...confFiles.values()], mistakes, from);
  if (mistakes.length > 0) throw invalid(mistakes);
  const [first = "."] = names;
  const isDirectory = (await from.entries(first)) !== undefined;
  const directory = isDirectory ? resolve(first) : dirname(resolve(first));
  const of = <T extends AMIAccount | ConfFile>(all: Map<string, Declared<T>>, server: string): T[] =>
    [...all.values()].map(({ resource }) => resource).filter(({ spec }) => spec.serverRef.name === server);
  return {
    servers: [...servers.values()],
    secrets,
    directory,
    resourcesOf: (server) => ({
      accounts: of(accounts, server).map(({ metadata: { name }, spec }) => ({ name, spec })),
      files: of(confFiles, server).map(({ metadata: { name }, spec }) => {
        const content = contents.get(name);
        return { name, spec, ...(content === undefined ? {} : { content }) };
      }),
    }),
  };
}

/** The contents that ConfFiles take from files beside their manifests. */
async function readContents(
  files: readonly Declared<ConfFile>[],
  mistakes: Mistake[],
  from: ManifestFiles,
): Promise<ReadonlyMap<string, Buffer>> {
  const contents = new Map<string, Buffer>();
  for (const { resource, file, line } of files) {
    const { contentFrom } = resource.spec;
    if (contentFrom?.configMapKeyRef !== undefined)
      mistakes.push({ file, line, message: "contentFrom.configMapKeyRef: is for Kubernetes; use file" });
    if (contentFrom?.file === undefined) continue;
    const place = resolve(dirname(file), contentFrom.file);
    try {
      contents.set(resource.metadata.name, await from.read(place));
    } catch (cause) {
      mistakes.push({
        file,
        line,
        message: `contentFrom.file: ${place} can't be read (${messageOf(cause)})`,
      });
    }
  }
  return contents;
}

async function manifestFiles(name: string, from: ManifestFiles): Promise<string[]> {
  try {
    const entries = await from.entries(name);
    if (entries === undefined) return [name];
    return entries
      .filter((entry) => /\.(ya?ml|json)$/.test(entry))
      .map((entry) => join(name, entry))
      .sort();
  } catch (cause) {
    throw new AsteriskIacError("InvalidArgument", `can't read the manifests ${name}`, {
      cause,
      hint: "Name a file or a directory with -f.",
    });
  }
}

async function readText(file: string, from: ManifestFiles): Promise<string> {
  const bytes = await from.read(file).catch((cause: unknown) => {
    throw new AsteriskIacError("InvalidArgument", "can't read the manifest", { where: { file }, cause });
  });
  return bytes.toString("utf8");
}

interface Reading {
  readonly file: string;
  readonly lines: LineCounter;
  readonly mistakes: Mistake[];
  readonly servers: Map<string, DeclaredServer>;
  readonly secrets: Map<string, Secret>;
  readonly accounts: Map<string, Declared<AMIAccount>>;
  readonly confFiles: Map<string, Declared<ConfFile>>;
}

/** A resource with the manifest and the line where its document begins. */
interface Declared<T> {
  readonly resource: T;
  readonly file: string;
  readonly line: number;
}

function readDocument(document: Document.Parsed, reading: Reading): void {
  const { file, lines, mistakes } = reading;
  for (const error of document.errors) {
    // The first line of the parser's message; the rest quotes the text, which may hold secrets.
    mistakes.push({
      file,
      line: lines.linePos(error.pos[0]).line,
      message: error.message.split(/ at line |\n/)[0] ?? "is not YAML",
    });
  }
  if (document.errors.length > 0 || !isMap(document.contents)) return;
  const apiVersion: unknown = document.get("apiVersion");
  const kind: unknown = document.get("kind");
  if (apiVersion === "v1" && kind === "Secret") return readSecret(document, reading);
  if (typeof apiVersion !== "string" || !apiVersion.startsWith(group)) return;
  switch (kind) {
    case "AsteriskServer":
      return readServer(document, reading);
    case "AMIAccount":
      return void readNew(document, amiAccount, reading.accounts, reading);
    case "ConfFile":
      return void readNew(document, confFile, reading.confFiles, reading);
    default:
      mistakes.push({
        file,
        line: lineOf(document, ["kind"], lines),
        message: `kind: is not a kind of ${group} that this version knows (AsteriskServer, AMIAccount, ConfFile)`,
      });
  }
}

/** A resource of a kind, unless it is wrong, or was read before. */
function readNew<T extends { kind: string; metadata: { name: string } }>(
  document: Document.Parsed,
  schema: ZodType<T>,
  known: Map<string, Declared<T>>,
  { file, lines, mistakes }: Reading,
): Declared<T> | undefined {
  const parsed = schema.safeParse(document.toJS());
  if (!parsed.success) {
    for (const { path, message } of mistakesOf(parsed.error)) {
      const line = lineOf(document, path, lines);
      mistakes.push({ file, line, message: `${path.join(".") || "document"}: ${message}` });
    }
    return undefined;
  }
  const resource = parsed.data;
  const { name } = resource.metadata;
  const line = lineOf(document, [], lines);
  const other = known.get(name);
  if (other === undefined) {
    const declared = { resource, file, line };
    known.set(name, declared);
    return declared;
  }
  if (!isDeepStrictEqual(other.resource, resource)) {
    const message = `${resource.kind} ${name} is declared differently at ${other.file}:${other.line}`;
    mistakes.push({ file, line, message });
  }
  return undefined;
}

function readServer(document: Document.Parsed, reading: Reading): void {
  const { file, mistakes, servers } = reading;
  const read = new Map([...servers].map(([name, declared]) => [name, declared as Declared<AsteriskServer>]));
  const declared = readNew(document, asteriskServer, read, reading);
  if (declared === undefined) return;
  const { resource, line } = declared;
  const { name } = resource.metadata;
  const sourceDirectory = resolve(dirname(file), resource.spec.source?.directory ?? join("source", name));
  const { git } = resource.spec.source ?? {};
  for (const declared of servers.values()) {
    const other = declared.resource.spec.source?.git;
    const isSame =
      git === undefined || other === undefined
        ? git === other && declared.sourceDirectory === sourceDirectory
        : sharesDirectory({ name, git }, { name: declared.name, git: other });
    if (!isSame) continue;
    mistakes.push({
      file,
      line,
      message: `AsteriskServer ${name} has the same source directory as ${declared.name}, or one in it`,
    });
  }
  for (const declared of servers.values()) {
    const address = addressOf(resource);
    if (address === undefined || addressOf(declared.resource) !== address) continue;
    mistakes.push({
      file,
      line,
      message: `AsteriskServer ${name} is the same machine and configuration directory as ${declared.name}`,
    });
  }
  servers.set(name, { name, resource, file, line, sourceDirectory });
}

/** Where a server is, as far as the manifest tells; two of the same are one server. */
function addressOf({ spec }: AsteriskServer): string | undefined {
  return spec.ssh === undefined
    ? undefined
    : `${spec.ssh.host}:${spec.ssh.port} ${spec.configDirectory ?? ""}`;
}

function readSecret(document: Document.Parsed, { file, lines, mistakes, secrets }: Reading): void {
  const values = new Map<string, Buffer>();
  const name: unknown = document.getIn(["metadata", "name"]);
  if (typeof name !== "string") {
    mistakes.push({
      file,
      line: lineOf(document, ["metadata"], lines),
      message: "metadata.name: is missing",
    });
    return;
  }
  for (const [field, encoding] of [
    ["data", "base64"],
    ["stringData", "utf8"],
  ] as const) {
    const map: unknown = document.get(field);
    if (!isMap(map)) continue;
    for (const [key, value] of Object.entries(map.toJSON() as Record<string, unknown>)) {
      if (typeof value === "string") values.set(key, Buffer.from(value, encoding));
      else
        mistakes.push({
          file,
          line: lineOf(document, [field, key], lines),
          message: `${field}.${key}: must be a string`,
        });
    }
  }
  secrets.set(name, values);
}

/** The line of a field, or of the nearest field above it that is there. */
function lineOf(document: Document.Parsed, path: readonly string[], lines: LineCounter): number {
  for (let depth = path.length; depth >= 0; depth--) {
    const keys = path.slice(0, depth).map((key) => (/^\d+$/.test(key) ? Number(key) : key));
    const node: unknown = depth === 0 ? document.contents : document.getIn(keys, true);
    if (typeof node === "object" && node !== null && "range" in node && Array.isArray(node.range)) {
      return lines.linePos(node.range[0] as number).line;
    }
  }
  return 1;
}

function invalid(mistakes: readonly Mistake[]): AsteriskIacError {
  const [first] = mistakes;
  if (mistakes.length === 1 && first !== undefined) {
    return new AsteriskIacError("InvalidManifest", first.message, {
      where: { file: first.file, line: first.line },
    });
  }
  const list = mistakes.map((mistake) => `  ${mistake.file}:${mistake.line}: ${mistake.message}`);
  return new AsteriskIacError(
    "InvalidManifest",
    `${mistakes.length} mistakes in the manifests:\n${list.join("\n")}`,
  );
}
