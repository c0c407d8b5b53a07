import { withoutReferences } from "../core/commit-message.ts";
import { longestReview } from "../core/markdown/collected.ts";
import { fenced, fit, literal } from "../core/markdown/text.ts";
import type { PullRequestText } from "./forges/forge.ts";
import type { GitChange } from "./publisher.ts";

/** What a pull request of ours knows of itself: a line in its text that readers don't see. */
export interface PullRequestMark {
  /** Of the change that it holds: see `changeDigest`. */
  readonly change: string;
  /** The tree of the server's directory in the base branch, as its branch was last brought together with it. */
  readonly base: string;
  /** Of changes that were rejected before, the latest first. */
  readonly rejected: readonly string[];
}

/** So many rejected changes are remembered. */
const mostRejected = 20;

/** What the title of a pull request is cut to, in characters: GitHub takes 256. */
const longestTitle = 200;

const form =
  /^<!-- asterisk-iac change=([0-9a-f]{64}) base=([0-9a-f]{40,64}|none)((?: rejected=[0-9a-f]{64})*) -->\n/;

/** The mark of a pull request's text; undefined where somebody took it away. */
export function markOf(body: string): PullRequestMark | undefined {
  const [, change, base, rejected = ""] = form.exec(body.replaceAll("\r\n", "\n")) ?? [];
  if (change === undefined || base === undefined) return undefined;
  return { change, base, rejected: [...rejected.matchAll(/=(\w+)/g)].map(([, digest = ""]) => digest) };
}

/** The text of a server's pull request: the first line of the commit's message, and what is there to be reviewed. */
export function pullRequestText(
  server: string,
  { change, base, rejected }: PullRequestMark,
  { message, review }: Pick<GitChange, "message" | "review">,
): PullRequestText {
  const [title = "", ...lines] = message.trim().split("\n");
  const marks = rejected.slice(0, mostRejected).map((digest) => ` rejected=${digest}`);
  const introduction =
    `What the server ${literal(server)} has, and the base branch has not. Merge this to keep it; close it without merging to ` +
    "reject it: it is opened again when the server's files change once more. The server stays as it is either way.";
  return {
    title: titleOf(withoutReferences(title)),
    body:
      `<!-- asterisk-iac change=${change} base=${base}${marks.join("")} -->\n${introduction}\n\n` +
      (review ?? asCode(lines.join("\n").trim().split("\n"))),
  };
}

function titleOf(text: string): string {
  return text.length <= longestTitle ? text : `${text.slice(0, longestTitle - 1)}…`;
}

/** Text that is no Markdown, shown as it is. */
function asCode(lines: readonly string[]): string {
  const { shown, left } = fit(lines, longestReview);
  const rest =
    left === 0 ? [] : ["", `**${left} more lines are left out here: the changed files say the rest.**`];
  return lines.join("") === "" ? "" : `${[...fenced("text", shown), ...rest].join("\n")}\n`;
}
