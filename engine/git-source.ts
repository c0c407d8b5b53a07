import { AsteriskIacError } from "../core/errors.ts";
import { milliseconds } from "../core/resource/duration.ts";
import type { AsteriskServerSpec, GitSourceSpec } from "../core/resource/index.ts";
import { directoryInRepository, fileSelector } from "../core/resource/index.ts";
import type { GitBranch } from "../git/branch.ts";
import { GitRepositories } from "../git/branch.ts";
import type { GitCredentials } from "../git/credentials.ts";
import { openForge } from "../git/forges/open.ts";
import type { Publisher } from "../git/publisher.ts";
import { PullRequestPublisher } from "../git/pull-request.ts";
import { GitRepository } from "../git/repository.ts";
import { CommitSignatures } from "../git/signatures.ts";
import { GitSource } from "../git/source.ts";
import type { Secret, SecretStore } from "./secrets.ts";
import { readSecretIfThere, vaultOf } from "./source-secrets.ts";

export interface GitSourcesOptions {
  /** Where the caches of repositories are: a directory of ours, which may be lost. */
  readonly cacheDirectory: string;
  /** How long a fetch or a push may take. Milliseconds; default two minutes. */
  readonly deadlineMs?: number;
}

/** A server whose source is a repository. */
export interface GitServer {
  readonly name: string;
  readonly spec: AsteriskServerSpec;
  readonly git: GitSourceSpec;
}

export { defaultCacheDirectory } from "../git/cache.ts";

/**
 * Opens the git sources of a run. Servers that read the same repository with the same credentials share one cache, one
 * question for new commits and one push.
 */
export class GitSources {
  readonly #options: GitSourcesOptions;
  readonly #repositories = new GitRepositories();

  constructor(options: GitSourcesOptions) {
    this.#options = options;
  }

  /**
   * @param secrets where the names of secrets are looked up
   * @param scope what these names belong to, a namespace for one: nothing is shared across scopes
   */
  open({ name, spec, git }: GitServer, secrets: SecretStore, scope = ""): GitSource {
    const branch = this.#branch(git, secrets, scope);
    const publisher = publisherOf(name, git, branch, secrets);
    return new GitSource({
      server: name,
      branch,
      path: directoryInRepository(name, git),
      intervalMs: milliseconds(git.interval),
      vault: vaultOf(name, git, secrets),
      readSecret: (secret) => readSecretIfThere(secrets, secret),
      isSelected: fileSelector(spec.files),
      ...(publisher === undefined ? {} : { publisher }),
      ...(git.verify === undefined ? {} : { signatures: signaturesOf(git.verify, secrets) }),
    });
  }

  /** Asks now for new commits of the branches that `isMeant`, as a webhook says to; whoever watches them is woken. */
  async look(isMeant: (url: string, branch: string) => boolean): Promise<void> {
    await Promise.all(this.#repositories.branchesOf(isMeant).map((branch) => branch.look()));
  }

  #branch(git: GitSourceSpec, secrets: SecretStore, scope: string): GitBranch {
    const { url, branch, allowPlaintext } = git;
    const secret = git.credentialsSecretRef?.name;
    const reader = `${scope}\n${secret ?? ""}`;
    const open = (): GitRepository =>
      new GitRepository(
        {
          url,
          allowPlaintext,
          reader,
          credentials: async () => (secret === undefined ? {} : credentialsOf(await secrets.read(secret))),
        },
        this.#options,
      );
    return this.#repositories.branch(`${url}\n${reader}`, branch, open);
  }
}

function publisherOf(
  server: string,
  { url, pullRequest, credentialsSecretRef }: GitSourceSpec,
  branch: GitBranch,
  secrets: SecretStore,
): Publisher | undefined {
  if (pullRequest === undefined) return undefined;
  const { forge: kind, apiURL } = pullRequest;
  const secret = credentialsSecretRef?.name ?? "";
  const token = async (): Promise<string> => {
    const value = (await secrets.read(secret)).get("token")?.toString("utf8").trim();
    if (value !== undefined && value !== "") return value;
    throw new AsteriskIacError(
      "SecretMissing",
      `the secret ${secret} has no key token, which ${kind} needs`,
      {
        hint: "Make a token that may read and write the repository and its pull requests, and put it there.",
      },
    );
  };
  const forge = openForge({ kind, repositoryURL: url, token, ...(apiURL === undefined ? {} : { apiURL }) });
  const { repository, name, publisher: direct } = branch;
  return new PullRequestPublisher({ server, repository, branch: name, forge, direct });
}

function signaturesOf(
  { allowedSignersSecretRef: { name } }: NonNullable<GitSourceSpec["verify"]>,
  secrets: SecretStore,
): CommitSignatures {
  return new CommitSignatures(async () => {
    const secret = await secrets.read(name);
    const text = (key: string): string | undefined => secret.get(key)?.toString("utf8");
    return { allowedSigners: text("allowed_signers") ?? "", signingKey: text("ssh-signing-key") };
  });
}

/** A Secret's keys as Kubernetes' ssh-auth and basic-auth have them, and `token`. */
function credentialsOf(secret: Secret): GitCredentials {
  const text = (key: string): string | undefined => secret.get(key)?.toString("utf8");
  const [privateKey, knownHosts, username] = ["ssh-privatekey", "known_hosts", "username"].map(text);
  const password = text("token") ?? text("password");
  return {
    ...(privateKey === undefined ? {} : { privateKey }),
    ...(knownHosts === undefined ? {} : { knownHosts }),
    ...(username === undefined ? {} : { username: username.trim() }),
    ...(password === undefined ? {} : { password }),
  };
}
