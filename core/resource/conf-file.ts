import { z } from "zod";
import {
  apiVersion,
  deletionPolicy,
  metadata,
  ownedPath,
  secretKeyReference,
  serverReference,
} from "./common.ts";

const section = z.strictObject({
  name: z.string().min(1).describe("The section's name, without brackets."),
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

const spec = z
  .strictObject({
    serverRef: serverReference,
    path: ownedPath.describe("Below the configuration directory."),
    content: z
      .string()
      .optional()
      .describe(
        "The whole file, instead of the source's copy. `@{secret:name/key}` is filled in on the way.",
      ),
    contentFrom: z
      .strictObject({
        secretKeyRef: secretKeyReference.optional(),
        configMapKeyRef: secretKeyReference.optional().describe("In Kubernetes only."),
        file: z
          .string()
          .min(1)
          .optional()
          .describe("Relative to the manifest; for the command line and Pulumi."),
      })
      .refine(
        (value) =>
          [value.secretKeyRef, value.configMapKeyRef, value.file].filter((one) => one !== undefined)
            .length === 1,
        { message: "needs exactly one of secretKeyRef, configMapKeyRef and file" },
      )
      .optional()
      .describe("The whole file, kept elsewhere."),
    sections: z
      .array(section)
      .min(1)
      .optional()
      .describe("Parts of a file that others own; only the variables that are named here are touched."),
    deletionPolicy: deletionPolicy
      .optional()
      .describe(
        "What a removal does: Restore what was there before, or Retain what is there now. " +
          "Default: Retain in Kubernetes, else Restore.",
      ),
  })
  .refine(
    (value) =>
      [value.content, value.contentFrom, value.sections].filter((one) => one !== undefined).length <= 1,
    { message: "has only one of content, contentFrom and sections" },
  )
  .refine(
    ({ sections = [] }) => new Set(sections.map(({ name }) => name.toLowerCase())).size === sections.length,
    { message: "names a section twice", path: ["sections"] },
  );

/** A .conf file, or parts of one, as declared. */
export const confFile = z.strictObject({
  apiVersion,
  kind: z.literal("ConfFile"),
  metadata,
  spec,
});
export type ConfFile = z.infer<typeof confFile>;
export type ConfFileSpec = ConfFile["spec"];
