import type { PullRequestText } from "./forges/forge.ts";

/** What a pull request of ours knows of itself: a line in its text that readers don't see. */
export interface PullRequestMark {
  /** Of the change that it holds: see `changeDigest`. */
  readonly change: string;
  /** Of changes that were rejected before, the latest first. */
  readonly rejected: readonly string[];
}

/** So many rejected changes are remembered. */
const mostRejected = 20;

/** GitHub takes 65,536 characters. */
const longestText = 60_000;

/** What the title of a pull request is cut to, in characters: GitHub takes 256. */
const longestTitle = 200;

const form = /^<!-- asterisk-iac change=([0-9a-f]{64})((?: rejected=[0-9a-f]{64})*) -->\n/;

/** The mark of a pull request's text; undefined where somebody took it away. */
export function markOf(body: string): PullRequestMark | undefined {
  const [, change, rejected = ""] = form.exec(body.replaceAll("\r\n", "\n")) ?? [];
  if (change === undefined) return undefined;
  return { change, rejected: [...rejected.matchAll(/=(\w+)/g)].map(([, digest = ""]) => digest) };
}

/** The text of a server's pull request, `summary` (Markdown) cut where it is too long. */
export function pullRequestText(
  server: string,
  { change, rejected }: PullRequestMark,
  { title, summary }: { readonly title: string; readonly summary: string },
): PullRequestText {
  const marks = rejected.slice(0, mostRejected).map((digest) => ` rejected=${digest}`);
  const introduction =
    `Changed on the server \`${server}\`. Merge this to keep it; close it without merging to reject it: it is opened ` +
    "again when the server's files change once more. The server itself stays as it is either way.";
  const start = `<!-- asterisk-iac change=${change}${marks.join("")} -->\n${introduction}\n\n`;
  const room = longestText - start.length;
  const cut = `\n\n(Cut here: the changed files say the rest.)\n`;
  const rest =
    summary.length <= room ? summary : summary.slice(0, summary.lastIndexOf("\n", room - cut.length)) + cut;
  return {
    title: title.length <= longestTitle ? title : `${title.slice(0, longestTitle - 1)}…`,
    body: start + rest,
  };
}
