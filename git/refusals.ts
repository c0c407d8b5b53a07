import type { Next } from "../core/errors.ts";
import { AsteriskIacError } from "../core/errors.ts";
import type { GitRun } from "./run.ts";
import { briefly } from "./run.ts";

/**
 * What a fetch or a push that failed comes to. `NoSuchBranch`: the remote is there and does not have it. `NotOnTop`: the
 * branch has other commits. `Remote`: the remote, or the way to it, said no. `Unknown`: anything else, a broken cache for one.
 */
export interface Failure {
  readonly kind: "NoSuchBranch" | "NotOnTop" | "Remote" | "Unknown";
  readonly error: AsteriskIacError;
}

interface Refusal {
  readonly words: RegExp;
  readonly what: string;
  readonly next: Next;
  readonly hint?: string;
}

/** In git's and ssh's own words, LC_ALL=C; the first that matches counts. */
const refusals: readonly Refusal[] = [
  {
    words: /Host key verification failed|HOST IDENTIFICATION HAS CHANGED/,
    what: "shows a host key that is not the pinned one",
    next: "Stalled",
    hint: "Compare it with the server's own, then put the right line into the key `known_hosts` of the credentials.",
  },
  {
    words:
      /Authentication failed|could not read (Username|Password)|Permission denied \(|The requested URL returned error: 40[13]|invalid credentials|Load key/i,
    what: "does not let us in",
    next: "Stalled",
    hint: "Check credentialsSecretRef: `ssh-privatekey` and `known_hosts` for SSH, `token` or `username` and `password` for HTTP.",
  },
  {
    words:
      /Repository not found|does not appear to be a git repository|repository '.*' not found|not found$/im,
    what: "has no such repository, or does not show it to us",
    next: "Stalled",
    hint: "Check source.git.url and what the credentials may see.",
  },
  {
    words: /\[remote rejected\]|protected branch|hook declined/,
    what: "does not take the commit",
    next: "Stalled",
    hint: "Let the credentials push to that branch, or have `pullRequest` propose what is collected.",
  },
  {
    words:
      /Could not resolve host|Connection (refused|timed out|reset|closed)|timed out|Operation too slow|Failed to connect|Couldn't connect|Connection to .* closed|unable to access|remote end hung up|Could not read from remote|early EOF|RPC failed|No route to host|kex_exchange/i,
    what: "can't be reached",
    next: "Retry",
  },
  {
    words: /fsck error|fsckObjects|unpacker error/,
    what: "has an object that git's own checks refuse",
    next: "Stalled",
    hint: "`git fsck --full` in a clone names it.",
  },
];

/** Lost to somebody else who pushed, or who is pushing now. */
const notOnTop =
  /\[rejected\]|\(non-fast-forward\)|\(fetch first\)|cannot lock ref|failed to update ref|incorrect old value|\(reference already exists\)/;

/** Reads what git said of a failed fetch or push. */
export function failureOf(url: string, run: GitRun): Failure {
  const said = `${run.stdout.toString("utf8")}\n${run.stderr}`;
  const known = refusals.find(({ words }) => words.test(said));
  const message = `${url} ${known?.what ?? "can't be worked with"}: ${briefly(said)}`;
  const error = new AsteriskIacError("SourceUnavailable", message, {
    next: known?.next ?? "Retry",
    ...(known?.hint === undefined ? {} : { hint: known.hint }),
  });
  if (/couldn't find remote ref/.test(said)) return { kind: "NoSuchBranch", error };
  if (notOnTop.test(said)) return { kind: "NotOnTop", error };
  return { kind: known === undefined ? "Unknown" : "Remote", error };
}
