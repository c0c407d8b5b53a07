import type { ZodError } from "zod";

/** What is wrong with a resource, and where. */
export interface Mistake {
  /** The names and indices that lead to the field, `spec` first. */
  readonly path: readonly string[];
  readonly message: string;
}

/** A validation's findings, one for each field; no value is in them. */
export function mistakesOf({ issues }: ZodError): Mistake[] {
  return issues.flatMap((issue) =>
    issue.code === "unrecognized_keys"
      ? issue.keys.map((key) => ({
          path: [...issue.path, key].map(String),
          message: "is not a field that this version knows",
        }))
      : [{ path: issue.path.map(String), message: issue.message }],
  );
}
