import { z } from "zod";
import { updateDirection } from "./server.ts";

const time = z.string().meta({ format: "date-time" });
const generation = z.int().min(0);

/** A condition in the shape of Kubernetes' metav1.Condition. */
export const statusCondition = z.strictObject({
  type: z
    .string()
    .max(316)
    .regex(/^[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?$/)
    .describe("What is judged: Ready, Reconciling and Stalled as kstatus reads them, or one of our own."),
  status: z.enum(["True", "False", "Unknown"]).describe("Whether it is so."),
  observedGeneration: generation
    .optional()
    .describe("The metadata.generation that was judged; with an older one the condition is out of date."),
  lastTransitionTime: time.describe("When `status` last changed."),
  reason: z
    .string()
    .min(1)
    .max(1024)
    .regex(/^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/)
    .describe("Why, as one word for programs."),
  message: z.string().max(32768).describe("Why, and what to do about it, for people."),
});

const common = {
  observedGeneration: generation
    .optional()
    .describe("The metadata.generation that the operator has acted on last."),
  conditions: z
    .array(statusCondition)
    .max(32)
    .meta({ "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"] })
    .optional()
    .describe("How the resource stands, one condition of each type."),
};

const lastApplied = z.strictObject({
  generation: generation.describe("Of the server's own record, which counts the applies."),
  time: time.describe("When it was written to the server."),
  planHash: z.string().describe("The hash of the plan that was applied."),
});

/** What the operator says of an AsteriskServer. */
export const asteriskServerStatus = z.strictObject({
  ...common,
  asteriskVersion: z.string().optional().describe("As Asterisk itself says it."),
  updateDirection: updateDirection
    .optional()
    .describe("The direction that the last reconcile went by; none is DirectionNotSet."),
  initialImport: z
    .strictObject({
      done: z.boolean().describe("Whether every file was stored and its outcome noted."),
      time: time.optional().describe("When it was done."),
      files: z.int().min(0).optional().describe("How many files it had."),
    })
    .optional()
    .describe("The copy of the server's files that the first connection makes."),
  lastApplied: lastApplied
    .extend({
      revision: z
        .string()
        .optional()
        .describe("The commit that was applied, where the files are in a repository."),
    })
    .optional()
    .describe("The last time that anything was written."),
  source: z
    .strictObject({
      commit: z.string().describe("The newest commit that the operator has seen, or made, on the branch."),
      branch: z.string().describe("The branch that is read."),
      pullRequest: z
        .string()
        .optional()
        .describe("The page of the pull request in which changes made on the server wait to be merged."),
    })
    .optional()
    .describe("Where the server's files are, if they are in a repository."),
  activeCalls: z.int().min(0).optional().describe("Calls that were up when the operator last looked."),
  consoleURL: z.string().optional().describe("Where the server's web console is."),
  handledRequests: z
    .record(z.string(), z.string())
    .optional()
    .describe(
      "For each of reconcile, test, upload, download, reload and restart, the value of the annotation " +
        "asterisk-iac.dev/<verb>-requested-at that was acted on last.",
    ),
});

/** What the operator says of an AMIAccount. */
export const amiAccountStatus = z.strictObject({
  ...common,
  file: z.string().optional().describe("The file below the configuration directory that holds the account."),
  verified: z
    .array(
      z.strictObject({
        attribute: z.string().describe("A field of the spec."),
        live: z.string().describe("What Asterisk itself said of it; of a secret never the value."),
      }),
    )
    .meta({ "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["attribute"] })
    .optional()
    .describe("What was seen of the account on the live server."),
  loginProved: z.boolean().optional().describe("Whether a login with the account's own secret worked."),
});

/** What the operator says of a ConfFile. */
export const confFileStatus = z.strictObject({
  ...common,
  path: z.string().optional().describe("The file below the configuration directory."),
  hash: z
    .string()
    .optional()
    .describe("Of the file's bytes on the server, under a key that is kept with the secrets."),
  lastApplied: lastApplied.optional().describe("The last time that the file was written."),
});

export type StatusCondition = z.infer<typeof statusCondition>;
export type AsteriskServerStatus = z.infer<typeof asteriskServerStatus>;
export type AMIAccountStatus = z.infer<typeof amiAccountStatus>;
export type ConfFileStatus = z.infer<typeof confFileStatus>;
