import { z } from "zod";
import { isHidden, pathProblem } from "../paths.ts";
import { immutable, withCEL } from "./rules.ts";

/** The group and version of every resource. */
export const apiVersion = z.literal("asterisk-iac.dev/v1alpha1");

/** A DNS-1123 subdomain, as Kubernetes names objects. */
export const resourceName = z
  .string()
  .max(253)
  .regex(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
    "is not a valid resource name (lower case letters, digits, '-' and '.')",
  );

/** Object metadata: what we read of it; the rest of Kubernetes' fields is let through. */
export const metadata = z.looseObject({
  name: resourceName,
  namespace: resourceName.optional(),
});

/** A Secret in the same namespace, or the folder of that name in the CLI's `--secrets`. */
export const secretReference = z.strictObject({ name: resourceName.describe("The Secret's name.") });

/** One value of such a secret. */
export const secretKeyReference = z.strictObject({
  name: resourceName.describe("The object's name."),
  key: z
    .string()
    .regex(/^[-._a-zA-Z0-9]+$/, "is not a key of a secret (letters, digits, '-', '_' and '.')")
    .max(253)
    .describe("The key in it."),
});

/** The AsteriskServer, in the same namespace, that something belongs to for good. */
export const serverReference = immutable(
  z.strictObject({ name: resourceName.describe("The AsteriskServer's name.") }),
  "serverRef",
);

/** What the removal of a resource does to what it owned. */
export const deletionPolicy = z.enum(["Restore", "Retain"]);
export type DeletionPolicy = z.infer<typeof deletionPolicy>;

/** A path below the configuration directory that a resource may own. */
export const ownedPath = withCEL(
  z
    .string()
    .max(1024)
    .superRefine((path, context) => {
      const problem = pathProblem(path) ?? (isHidden(path) ? "has a name that begins with a dot" : undefined);
      if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
    }),
  { rule: "self != ''", message: "is empty" },
  { rule: "!self.matches('[\\\\x00\\\\r\\\\n]')", message: "holds a NUL or a line break" },
  { rule: "!self.startsWith('/')", message: "is absolute" },
  {
    rule: "!self.matches('//|/$|(^|/)[.]{1,2}(/|$)')",
    message: "has an empty, '.' or '..' component",
  },
  { rule: "!self.matches('(^|/)[.]')", message: "has a name that begins with a dot" },
);
