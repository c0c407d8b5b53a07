import { z } from "zod";
import { isHidden } from "../paths.ts";
import { secretReference } from "./common.ts";
import { interval } from "./duration.ts";
import { branchPattern, gitURLPattern, isPlaintext, loopbackHTTP } from "./git-url.ts";
import { withRules } from "./rules.ts";

const branch = withRules(z.string().max(200).regex(branchPattern, "is not the name of a branch"), {
  message: "has a name that ends in .lock",
  holds: (name) => !/\.lock(\/|$)/.test(name),
  cel: "!self.matches('[.]lock(/|$)')",
});

/** A directory of the repository; `.` is its root. */
const path = withRules(
  z
    .string()
    .max(1024)
    .regex(
      /^([^\x00-\x1f\x7f/-][^\x00-\x1f\x7f/]*)(\/[^\x00-\x1f\x7f/-][^\x00-\x1f\x7f/]*)*$/,
      "is not a path below the repository's root",
    ),
  {
    message: "has a name that begins with a dot",
    holds: (name) => name === "." || !isHidden(name),
    cel: "self == '.' || !self.matches('(^|/)[.]')",
  },
);

const pullRequest = withRules(
  z.strictObject({
    forge: z.enum(["GitHub", "Gitea"]).describe("What the repository is kept by."),
    apiURL: z
      .string()
      .max(1024)
      .regex(gitURLPattern, "is not https://…, without credentials in it")
      .optional()
      .describe("Of the forge's API. Default: told from the repository's URL."),
  }),
  {
    message: "apiURL is not https://…",
    path: ["apiURL"],
    holds: ({ apiURL }) => apiURL === undefined || /^https?:/.test(apiURL),
    cel: "!has(self.apiURL) || self.apiURL.matches('^https?:')",
  },
);

const glob = z.string().min(1).max(256);

/** Variables whose values are secrets; names are compared without regard to case. */
const secretKey = z.strictObject({
  files: glob.describe("A glob of paths, whose `*` does not cross `/`."),
  section: glob.optional().describe("A glob of the sections' names."),
  type: glob.optional().describe("A glob of what `type=` says in the sections, where the file says it."),
  key: glob.describe("A glob of the variables' names."),
});

/** `source.git` of an AsteriskServer: its files are a directory of a repository. */
export const gitSource = withRules(
  z.strictObject({
    url: z
      .string()
      .max(1024)
      .regex(gitURLPattern, "is not https://…, ssh://… or user@host:path, without credentials in it")
      .describe("The repository: https://…, ssh://… or user@host:path, without credentials in it."),
    branch: branch.default("main").describe("The branch that is read, and written."),
    path: path
      .optional()
      .describe(
        "The directory of the server's files in the repository, `.` for its root. Default: the server's name.",
      ),
    credentialsSecretRef: secretReference
      .optional()
      .describe(
        "For SSH `ssh-privatekey` and `known_hosts`; for HTTP `token`, or `username` and `password`. " +
          "Without it: for SSH the agent and the user's known_hosts, for HTTP nobody.",
      ),
    interval: interval
      .default("1m")
      .describe(
        "How often the repository is asked for new commits, from 1s to 24h; one question is for all servers in it.",
      ),
    secrets: z
      .enum(["Age", "Secret", "Plain"])
      .default("Age")
      .describe(
        "Where the secrets in files go instead of the repository: a file beside them, encrypted with age, or the Secret " +
          "<name>-secrets. Plain leaves them in the files, in the clear: named so because it is unsafe.",
      ),
    ageRecipients: z
      .array(
        z
          .string()
          .max(128)
          .regex(/^age1[0-9a-z]+$/, "is not a public key of age"),
      )
      .max(64)
      .default([])
      .describe("Who else can open the file of secrets: public keys that begin with age1."),
    secretKeys: z
      .array(secretKey)
      .max(128)
      .default([])
      .describe("What holds a secret beside what is known to."),
    verify: z
      .strictObject({
        allowedSignersSecretRef: secretReference.describe(
          "`allowed_signers`, as ssh-keygen has it: whose commits are believed. `ssh-signing-key` signs those that are made here.",
        ),
      })
      .optional()
      .describe("Reads nothing of a branch whose newest commit is not signed, with SSH, by one of these."),
    pullRequest: pullRequest
      .optional()
      .describe(
        "What is collected goes to a branch and a pull request of the server's own, instead of to `branch`. The key " +
          "`token` of the credentials is for the forge too.",
      ),
    allowPlaintext: z
      .boolean()
      .default(false)
      .describe(
        "Accepts http:// across a network, which shows credentials and files to it: named so because it is unsafe.",
      ),
  }),
  {
    message: "http:// needs a loopback host, or allowPlaintext: true",
    path: ["url"],
    holds: ({ url, allowPlaintext }) => !isPlaintext(url) || allowPlaintext,
    cel: `!self.url.startsWith('http://') || self.allowPlaintext || self.url.matches('${cel(loopbackHTTP)}')`,
  },
  {
    message: "pullRequest.apiURL: http:// needs a loopback host, or allowPlaintext: true",
    path: ["pullRequest"],
    holds: ({ pullRequest, allowPlaintext }) =>
      !isPlaintext(`${pullRequest?.apiURL ?? ""}/`) || allowPlaintext,
    cel:
      "!has(self.pullRequest) || !has(self.pullRequest.apiURL) || !self.pullRequest.apiURL.startsWith('http://') || " +
      `self.allowPlaintext || (self.pullRequest.apiURL + '/').matches('${cel(loopbackHTTP)}')`,
  },
  {
    message: "pullRequest needs credentialsSecretRef, whose key `token` is for the forge",
    path: ["pullRequest"],
    holds: ({ pullRequest, credentialsSecretRef }) =>
      pullRequest === undefined || credentialsSecretRef !== undefined,
    cel: "!has(self.pullRequest) || has(self.credentialsSecretRef)",
  },
  {
    message: "ageRecipients is for secrets: Age",
    path: ["ageRecipients"],
    holds: ({ secrets, ageRecipients }) => secrets === "Age" || ageRecipients.length === 0,
    cel: "self.secrets == 'Age' || self.ageRecipients.size() == 0",
  },
);
export type GitSourceSpec = z.infer<typeof gitSource>;

/** A pattern as text in CEL, where a backslash is written twice. */
function cel(pattern: RegExp): string {
  return pattern.source.replaceAll("\\/", "/").replaceAll("\\", "\\\\");
}
