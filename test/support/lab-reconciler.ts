import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { loadManifests } from "../../cli/manifests.ts";
import { SecretDirectory } from "../../cli/secrets.ts";
import type { Side } from "../../core/diff.ts";
import type { Plan } from "../../core/plan.ts";
import type { AsteriskServerSpec } from "../../core/resource/index.ts";
import type { ApplyOptions, ApplyResult } from "../../engine/apply.ts";
import { applyServer } from "../../engine/apply.ts";
import { DirectorySource } from "../../engine/directory-source.ts";
import type { ImportResult } from "../../engine/import.ts";
import { importServer } from "../../engine/import.ts";
import type { Pass } from "../../engine/pass.ts";
import { SeenServers, withPass } from "../../engine/pass.ts";
import { planServer } from "../../engine/plan.ts";
import type { ServerDeclaration } from "../../engine/session.ts";
import type { Lab, LabServer } from "./lab.ts";

/** One file as it lies on a disk. Two that are equal in every field were not written in between. */
export interface FileState {
  readonly sha256: string;
  /** Octal digits. */
  readonly mode: string;
  /** `user:group`, by name on the server, by number in the source. */
  readonly owner: string;
  readonly inode: string;
  /** Seconds, with all their decimals. */
  readonly modified: string;
}

/** Every file of both sides by path, and of both sides' records by theirs. */
export interface Snapshot {
  readonly server: ReadonlyMap<string, FileState>;
  readonly source: ReadonlyMap<string, FileState>;
  readonly records: ReadonlyMap<string, FileState>;
}

/** Where the server's own record lies, in its own file system. */
export const hostRoom = "/var/spool/asterisk/asterisk-iac";

/** Options of one run; what is declared of the server comes first. */
export type RunOptions = Partial<ApplyOptions> & { readonly spec?: Partial<AsteriskServerSpec> };

/** One server of a lab with its source, reconciled in this process: as the command line does it, but faster. */
export class LabReconciler {
  readonly server: LabServer;
  readonly sourceDirectory: string;
  readonly #spec: AsteriskServerSpec;
  readonly #secretsDirectory: string;

  constructor(server: LabServer, spec: AsteriskServerSpec, directories: { source: string; secrets: string }) {
    this.server = server;
    this.sourceDirectory = directories.source;
    this.#spec = spec;
    this.#secretsDirectory = directories.secrets;
  }

  /** The server as the lab's manifest declares it. */
  static async of(lab: Lab, index = 0): Promise<LabReconciler> {
    const { servers } = await loadManifests([join(lab.directory, "manifests.yaml")]);
    const [server, declared] = [lab.servers[index], servers[index]];
    if (server === undefined || declared === undefined) throw new Error(`the lab has no server ${index}`);
    return new LabReconciler(server, declared.resource.spec, {
      source: declared.sourceDirectory,
      secrets: join(lab.directory, "secrets"),
    });
  }

  /** The same server as somebody else declares it: another source, other secrets. */
  declaredElsewhere(directories: { source: string; secrets: string }): LabReconciler {
    return new LabReconciler(this.server, this.#spec, directories);
  }

  declaration(spec: Partial<AsteriskServerSpec> = {}): ServerDeclaration {
    return {
      name: this.server.name,
      spec: { ...this.#spec, ...spec },
      source: new DirectorySource(this.sourceDirectory),
      accounts: [],
      files: [],
    };
  }

  async withPass<T>(
    work: (pass: Pass) => Promise<T>,
    options: { spec?: Partial<AsteriskServerSpec>; importing?: boolean; writing?: boolean } = {},
  ): Promise<T> {
    const { spec, ...rest } = options;
    const secrets = new SecretDirectory(this.#secretsDirectory);
    return withPass(this.declaration(spec), secrets, { seen: new SeenServers(), ...rest }, work);
  }

  async import(): Promise<ImportResult> {
    return this.withPass((pass) => importServer(pass), { importing: true });
  }

  async plan({ spec = {}, take }: Pick<RunOptions, "spec" | "take"> = {}): Promise<Plan> {
    return this.withPass((pass) => planServer(pass, take === undefined ? {} : { take }), { spec });
  }

  async apply({ spec = {}, ...options }: RunOptions = {}): Promise<ApplyResult> {
    return this.withPass((pass) => applyServer(pass, { allow: new Set(), ...options }), {
      spec,
      writing: true,
    });
  }

  /** A file of one side, as this machine sees it. */
  file(side: Side, path: string): string {
    return join(side === "server" ? this.server.configDirectory : this.sourceDirectory, path);
  }

  /** Writes a file of one side as a person would; null removes it. On the server it belongs to Asterisk's user. */
  put(side: Side, path: string, bytes: Buffer | string | null, mode?: number): void {
    const file = this.file(side, path);
    if (bytes === null) return rmSync(file);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, bytes);
    if (mode !== undefined) chmodSync(file, mode);
    if (side === "source") return;
    const { uid, gid } = statSync(this.file("server", "asterisk.conf"));
    chownSync(file, uid, gid);
  }

  /** The bytes of a file of one side; null where there is none. */
  bytes(side: Side, path: string): Buffer | null {
    try {
      return readFileSync(this.file(side, path));
    } catch {
      return null;
    }
  }

  async snapshot(): Promise<Snapshot> {
    const [server, hostRecords] = await Promise.all([
      this.#onServer("/etc/asterisk"),
      this.#onServer(hostRoom),
    ]);
    const all = inDirectory(this.sourceDirectory);
    const isRecord = (path: string): boolean => path.startsWith(".asterisk-iac/");
    return {
      server,
      source: new Map([...all].filter(([path]) => !isRecord(path))),
      records: new Map([
        ...[...all]
          .filter(([path]) => isRecord(path))
          .map(([path, state]) => [`source ${path}`, state] as const),
        ...[...hostRecords].map(([path, state]) => [`server ${path}`, state] as const),
      ]),
    };
  }

  /** Every regular file below a directory of the server, told by the server itself. */
  async #onServer(directory: string): Promise<Map<string, FileState>> {
    const script = `
      cd "$1" 2>/dev/null || exit 0
      find . -type f -printf '%m %u:%g %i %T@ %P\\n' | sort -k5
      echo
      find . -type f -printf '%P\\0' | xargs -0 -r sha256sum --`;
    const { stdout } = await this.server.run(["sh", "-c", script, "sh", directory]);
    const [stats = "", sums = ""] = stdout.toString().split("\n\n");
    const hashes = new Map(
      sums.split("\n").flatMap((line) => {
        const [, sha256 = "", path = ""] = /^([0-9a-f]{64}) .(.*)$/.exec(line) ?? [];
        return sha256 === "" ? [] : [[path, sha256] as const];
      }),
    );
    return new Map(
      stats.split("\n").flatMap((line): [string, FileState][] => {
        const [, mode = "", owner = "", inode = "", modified = "", path] =
          /^([0-7]+) (\S+) (\d+) (\S+) (.*)$/.exec(line) ?? [];
        if (path === undefined) return [];
        return [[path, { sha256: hashes.get(path) ?? "", mode, owner, inode, modified }]];
      }),
    );
  }
}

/** Every regular file below a directory of this machine. */
function inDirectory(directory: string): Map<string, FileState> {
  let paths: string[];
  try {
    paths = readdirSync(directory, { recursive: true, encoding: "utf8" }).sort();
  } catch {
    return new Map();
  }
  return new Map(
    paths.flatMap((path): [string, FileState][] => {
      const status = statSync(join(directory, path), { bigint: true });
      if (!status.isFile()) return [];
      const sha256 = sha256Of(readFileSync(join(directory, path)));
      const mode = (status.mode & 0o7777n).toString(8);
      const owner = `${status.uid}:${status.gid}`;
      return [[path, { sha256, mode, owner, inode: `${status.ino}`, modified: `${status.mtimeNs}` }]];
    }),
  );
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
