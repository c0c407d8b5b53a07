import { z } from "zod";

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
export const secretReference = z.strictObject({ name: resourceName });
