import type { Next } from "../core/errors.ts";
import { AsteriskIacError } from "../core/errors.ts";
import type { GitRun } from "./run.ts";
import { briefly } from "./run.ts";

/**
 * What a fetch or a push that failed comes to. `NoSuchBranch`: the remote is there and does not have it. `NotOnTop`: the
 * branch has other commits. `NotUpdated`: the remote took the commits and could not move the branch, since somebody else
 * moved it at that very time or for reasons of its own: git says the same of both. `Locked`: it was about to be moved by
 * somebody else. `Told`: the remote, the way to it or this machine said no. `Unknown`: anything else, a broken cache for one.
 */
export interface Failure {
  readonly kind: "NoSuchBranch" | "NotOnTop" | "NotUpdated" | "Locked" | "Told" | "Unknown";
  readonly error: AsteriskIacError;
}

interface Refusal {
  readonly words: RegExp;
  readonly what: string;
  readonly next: Next;
  readonly hint?: string;
}

/** What receive-pack, and those who do its work elsewhere, say of a ref, whatever the reason. */
const notUpdated =
  /\[remote rejected\] .*(failed to (update|lock)|cannot lock ref|lock error|non-fast-forward|incorrect old value|reference already exists)/;

/** Somebody else is about to move it, or was when their push was killed. */
const locked = /^remote: .*Unable to create '.*\.lock': File exists/m;

/** In git's and ssh's own words, LC_ALL=C; the first that matches counts. */
const refusals: readonly Refusal[] = [
  {
    words: /^remote: .*(No space left on device|Disk quota exceeded)/m,
    what: "has no room left on its disk",
    next: "Retry",
    hint: "Make room on the git server: nothing can be pushed until then.",
  },
  {
    words: /No space left on device|Disk quota exceeded/,
    what: "does not fit on this machine's disk",
    next: "Retry",
    hint: "Make room where its cache is: below ~/.cache/asterisk-iac, in Kubernetes /var/cache/asterisk-iac.",
  },
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
    words: locked,
    what: "has a lock on the branch that stays",
    next: "Retry",
    hint: "A push that was killed on the git server leaves one: remove it there, if nobody pushes.",
  },
  {
    words: notUpdated,
    what: "could not move the branch",
    next: "Retry",
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

/** Lost to somebody else who pushed before. */
const notOnTop = /^!\t.*\[rejected\]/m;

/**
 * Reads what git said of a failed fetch or push.
 * @param secrets what the remote may have been asked with, and is not told
 */
export function failureOf(url: string, run: GitRun, secrets: readonly string[]): Failure {
  const said = `${run.stdout.toString("utf8")}\n${run.stderr}`;
  const known = refusals.find(({ words }) => words.test(said));
  const message = `${url} ${known?.what ?? "can't be worked with"}: ${briefly(said, secrets)}`;
  const error = new AsteriskIacError("SourceUnavailable", message, {
    next: known?.next ?? "Retry",
    ...(known?.hint === undefined ? {} : { hint: known.hint }),
  });
  return { kind: kindOf(said, known), error };
}

function kindOf(said: string, known: Refusal | undefined): Failure["kind"] {
  if (/couldn't find remote ref/.test(said)) return "NoSuchBranch";
  if (notOnTop.test(said)) return "NotOnTop";
  if (notUpdated.test(said)) return known?.words === locked ? "Locked" : "NotUpdated";
  return known === undefined ? "Unknown" : "Told";
}
