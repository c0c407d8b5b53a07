import { AsteriskIacError } from "../../core/errors.ts";
import type { ForgeKind, ForgeOptions } from "./forge.ts";

/** Where a repository is at a forge. */
export interface Place {
  readonly owner: string;
  readonly repository: string;
  /** Without a slash at its end. */
  readonly apiURL: string;
  /** What messages call the forge: its kind and host. */
  readonly name: string;
}

/**
 * Where a repository is, from the URL that git has. Throws `InvalidManifest` where that does not end in an owner and a
 * name.
 */
export function placeOf({ kind, repositoryURL, apiURL }: Omit<ForgeOptions, "token">): Place {
  const { protocol, host, path } = partsOf(repositoryURL);
  const [, prefix = "", owner, repository] = /^\/*(.*\/)?([^/]+)\/([^/]+?)(?:\.git)?\/*$/.exec(path) ?? [];
  if (owner === undefined || repository === undefined || (kind === "GitHub" && prefix !== "")) {
    throw new AsteriskIacError(
      "InvalidManifest",
      `source.git.url does not end in the owner and the name of a repository at ${kind}, such as /owner/name.git`,
    );
  }
  const api = (apiURL ?? defaultAPI(kind, protocol, host, prefix)).replace(/\/+$/, "");
  return { owner, repository, apiURL: api, name: `${kind} at ${new URL(api).host}` };
}

function partsOf(repositoryURL: string): { protocol: string; host: string; path: string } {
  const [, host, path] = /^[^/@]+@([^/:]+|\[[^\]]+\]):(.*)$/.exec(repositoryURL) ?? [];
  if (host !== undefined && path !== undefined) return { protocol: "ssh:", host, path };
  const url = new URL(repositoryURL);
  // SSH's port says nothing about that of the API.
  return {
    protocol: url.protocol,
    host: url.protocol === "ssh:" ? url.hostname : url.host,
    path: url.pathname,
  };
}

function defaultAPI(kind: ForgeKind, protocol: string, host: string, prefix: string): string {
  const origin = `${protocol === "http:" ? "http:" : "https:"}//${host}`;
  if (kind === "Gitea") return `${origin}/${protocol === "ssh:" ? "" : prefix}api/v1`;
  return host === "github.com" ? "https://api.github.com" : `${origin}/api/v3`;
}
