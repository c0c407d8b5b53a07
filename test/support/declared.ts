import { join } from "node:path";
import { readFileSync } from "node:fs";
import type { AsteriskServerSpec } from "../../core/resource/index.ts";
import { amiAccount, confFile } from "../../core/resource/index.ts";
import type { DeclaredAccount, DeclaredConfFile } from "../../engine/desired.ts";
import type { ServerDeclaration } from "../../engine/session.ts";
import { loadManifests } from "../../cli/manifests.ts";
import { LabReconciler, hostRoom } from "./lab-reconciler.ts";
import type { Lab } from "./lab.ts";

type Fields = Readonly<Record<string, unknown>>;
const head = { apiVersion: "asterisk-iac.dev/v1alpha1" } as const;
const serverRef = { name: "pbx1" } as const;

/** A ConfFile of pbx1, with the defaults filled in. */
export function declaredFile(name: string, spec: Fields): DeclaredConfFile {
  const parsed = confFile.parse({
    ...head,
    kind: "ConfFile",
    metadata: { name },
    spec: { serverRef, ...spec },
  });
  return { name, spec: parsed.spec };
}

/** An AMIAccount of pbx1 that may log in from loopback, with a secret that is generated, unless `spec` says otherwise. */
export function declaredAccount(name: string, spec: Fields = {}): DeclaredAccount {
  const secret = "secretRef" in spec ? {} : { generate: true };
  const parsed = amiAccount.parse({
    ...head,
    kind: "AMIAccount",
    metadata: { name },
    spec: { serverRef, username: name, permit: ["127.0.0.1"], ...secret, ...spec },
  });
  return { name, spec: parsed.spec };
}

/** A server of a lab with resources that refer to it, which a test changes as it goes. */
export class DeclaredReconciler extends LabReconciler {
  accounts: readonly DeclaredAccount[] = [];
  files: readonly DeclaredConfFile[] = [];

  static override async of(lab: Lab, index = 0): Promise<DeclaredReconciler> {
    const { servers } = await loadManifests([join(lab.directory, "manifests.yaml")]);
    const [server, declared] = [lab.servers[index], servers[index]];
    if (server === undefined || declared === undefined) throw new Error(`the lab has no server ${index}`);
    return new DeclaredReconciler(server, declared.resource.spec, {
      source: declared.sourceDirectory,
      secrets: join(lab.directory, "secrets"),
    });
  }

  override declaration(spec: Partial<AsteriskServerSpec> = {}): ServerDeclaration {
    return { ...super.declaration(spec), accounts: this.accounts, files: this.files };
  }

  /** The bytes of a file of one side as text; null where there is none. */
  text(side: "server" | "source", path: string): string | null {
    return this.bytes(side, path)?.toString("latin1") ?? null;
  }

  /** The server's own record. */
  async hostRecord(): Promise<{ text: string; owners: (path: string) => string[] }> {
    const { stdout } = await this.server.run(["cat", `${hostRoom}/record`]);
    const { files } = JSON.parse(stdout) as {
      files: Record<string, { ownership?: { sections: object; content?: { owner: string } } }>;
    };
    return {
      text: stdout,
      owners: (path) => {
        const { sections = {}, content } = files[path]?.ownership ?? {};
        return [...(content === undefined ? [] : [content.owner]), ...Object.keys(sections)];
      },
    };
  }

  /** A value of the secrets' folder. */
  secret(lab: Lab, name: string, key = "password"): string {
    return readFileSync(join(lab.directory, "secrets", name, key), "utf8");
  }
}
