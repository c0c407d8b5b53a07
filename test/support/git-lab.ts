import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { GitRepository } from "./git-server.ts";
import type { Lab } from "./lab.ts";
import { editedManifests } from "./manifest.ts";

/** How the servers of a lab get their files from a repository. */
export interface GitLabOptions {
  readonly over?: "ssh" | "http";
  /** By server: fields of `source.git`, and others of its spec. */
  readonly servers: Readonly<Record<string, { readonly git?: object; readonly spec?: object }>>;
}

/** Writes manifests in which servers of a lab have a repository as their source, and its credentials to the lab's secrets. */
export function gitManifests(
  lab: Lab,
  file: string,
  repository: Pick<GitRepository, "httpURL" | "token"> & Partial<GitRepository>,
  { over = "http", servers }: GitLabOptions,
): string {
  const folder = join(lab.directory, "secrets", `git-${over}`);
  const secret =
    over === "http"
      ? { token: repository.token }
      : { "ssh-privatekey": repository.privateKey, known_hosts: repository.knownHosts };
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const [key, value = ""] of Object.entries(secret))
    writeFileSync(join(folder, key), value, { mode: 0o600 });
  const url = over === "http" ? repository.httpURL : repository.sshURL;
  const edits = Object.entries(servers).map(([name, { git, spec }]) => {
    const source = { git: { url, credentialsSecretRef: { name: `git-${over}` }, interval: "1s", ...git } };
    return [name, (before: Record<string, unknown>) => Object.assign(before, { ...spec, source })] as const;
  });
  return editedManifests(lab, file, Object.fromEntries(edits));
}
