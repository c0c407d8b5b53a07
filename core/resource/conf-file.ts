import { z } from "zod";
import {
  apiVersion,
  deletionPolicy,
  metadata,
  ownedPath,
  secretKeyReference,
  serverReference,
} from "./common.ts";
import { immutable, withCEL, withRules } from "./rules.ts";

const section = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(79, "has more than 79 characters: Asterisk would cut it")
    .describe("The section's name, without brackets."),
  lines: z
    .string()
    .describe(
      "Variables as they stand in the file (`member => PJSIP/100`), one a line. `@{secret:name/key}` is filled in on the way.",
    ),
  exclusive: z
    .boolean()
    .default(false)
    .describe("The whole section is owned, so that what others put into it is taken out again."),
});

const contentFrom = z.strictObject({
  secretKeyRef: secretKeyReference.optional().describe("A key of a Secret in the same namespace."),
  configMapKeyRef: secretKeyReference
    .optional()
    .describe("A key of a ConfigMap in the same namespace; in Kubernetes only."),
  file: z
    .string()
    .min(1)
    .optional()
    .describe("Relative to the manifest; for the command line and Pulumi, refused in Kubernetes."),
});

const spec = z.strictObject({
  serverRef: serverReference.describe("The AsteriskServer that the file is on."),
  path: immutable(ownedPath, "path").describe("Below the configuration directory."),
  content: z
    .string()
    .optional()
    .describe("The whole file, instead of the source's copy. `@{secret:name/key}` is filled in on the way."),
  contentFrom: withCEL(
    withRules(contentFrom, {
      message: "needs exactly one of secretKeyRef, configMapKeyRef and file",
      holds: (value) => countOf(value.secretKeyRef, value.configMapKeyRef, value.file) === 1,
      cel: "[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.file)].filter(one, one).size() == 1",
    }),
    {
      rule: "!has(self.file)",
      message: "file is for the command line and Pulumi: use content, a ConfigMap or a Secret",
    },
  )
    .optional()
    .describe("The whole file, kept elsewhere."),
  sections: withRules(z.array(section).min(1).max(100), {
    message: "names a section twice",
    holds: (sections) => new Set(sections.map(({ name }) => name.toLowerCase())).size === sections.length,
    cel: "self.all(one, self.exists_one(other, other.name.lowerAscii() == one.name.lowerAscii()))",
  })
    .meta({ "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] })
    .optional()
    .describe("Parts of a file that others own; only the variables that are named here are touched."),
  deletionPolicy: deletionPolicy
    .optional()
    .describe(
      "What a removal does: Restore what was there before, or Retain what is there now. " +
        "Default: Retain in Kubernetes, else Restore.",
    ),
});

function countOf(...values: readonly unknown[]): number {
  return values.filter((one) => one !== undefined).length;
}

/** A .conf file, or parts of one, as declared. */
export const confFile = z.strictObject({
  apiVersion,
  kind: z.literal("ConfFile"),
  metadata,
  spec: withRules(spec, {
    message: "has only one of content, contentFrom and sections",
    holds: ({ content, contentFrom, sections }) => countOf(content, contentFrom, sections) <= 1,
    cel: "[has(self.content), has(self.contentFrom), has(self.sections)].filter(one, one).size() <= 1",
  }),
});
export type ConfFile = z.infer<typeof confFile>;
export type ConfFileSpec = ConfFile["spec"];
