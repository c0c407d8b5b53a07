import type { Limit } from "../../engine/offline.ts";

/** What a plan that was made without the server can't know. */
export interface OfflineFacts {
  /** The commit that counts as live. */
  readonly base: string;
  /** The commit that is planned; undefined: the files as they lie in the checkout. */
  readonly head: string | undefined;
  readonly modulesSeenAt: string | undefined;
  readonly limits: readonly Limit[];
}

const mostNames = 8;

/** All of it, a sentence each; `show` makes what comes from elsewhere fit for where it is shown. */
export function offlineSentences(
  { base, head, modulesSeenAt, limits }: OfflineFacts,
  show: (text: string) => string,
): string[] {
  return [
    // Whoever reads a comment sees whether it is about what the branch has now.
    `Planned${head === undefined ? "" : ` of ${head}`} without the server: what ${base} declares is taken to be live.`,
    "Not known: what was changed on the server itself, conflicts with that, files that are only there, and calls that are up.",
    ...(modulesSeenAt === undefined
      ? []
      : [`Reloads are by the modules that Asterisk had loaded at ${show(modulesSeenAt)}.`]),
    ...limits.map(({ what, of }) => (of.length === 0 ? `${what}.` : `${what}: ${listed(of, show)}.`)),
  ];
}

function listed(names: readonly string[], show: (text: string) => string): string {
  const shown = names.slice(0, mostNames).map(show).join(", ");
  return names.length > mostNames ? `${shown} and ${names.length - mostNames} more` : shown;
}
