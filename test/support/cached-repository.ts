import type { GitCredentials } from "../../git/credentials.ts";
import { GitRepository } from "../../git/repository.ts";
import type { GitRepository as Remote } from "./git-server.ts";
import { temporaryDirectory } from "./temporary.ts";

/** What lets one in over SSH. */
export function overSSH({ privateKey, knownHosts }: Remote): GitCredentials {
  return { privateKey, knownHosts };
}

/** What lets one in over HTTP. */
export function overHTTP({ token }: Remote): GitCredentials {
  return { password: token };
}

export interface OpenOptions {
  /** Default: the token, for HTTP. */
  readonly credentials?: GitCredentials;
  /** Default: over HTTP. */
  readonly url?: string;
  /** Default: one of its own. */
  readonly cacheDirectory?: string;
  readonly deadlineMs?: number;
}

/** A repository of the test's git server as the engine has it, through a cache. */
export function openCached(remote: Remote, options: OpenOptions = {}): GitRepository {
  const { credentials = overHTTP(remote), url = remote.httpURL, deadlineMs = 30_000 } = options;
  return new GitRepository(
    { url, reader: "test", credentials: () => Promise.resolve(credentials) },
    { cacheDirectory: options.cacheDirectory ?? temporaryDirectory(), deadlineMs },
  );
}
