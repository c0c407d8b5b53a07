import { z } from "zod";

/** Kubernetes' IntOrString, as `maxUnavailable` of a Deployment has it: `"30%"`, or a number of things. */
export const maxChange = z
  .union([
    z.int().min(0),
    z.string().regex(/^(100|[1-9]?[0-9])%$/, 'is neither a number nor a percentage from "0%" to "100%"'),
  ])
  .default("30%")
  .describe(
    "How much may disappear at once, of the files and of each kind of thing in a file. " +
      "A percentage counts from ten on; more needs `--allow large-change`.",
  );

/** As declared, with the default filled in. */
export type MaxChange = z.infer<typeof maxChange>;
