import type { z } from "zod";

/** The key of a schema under which the rules in CEL stand, as Kubernetes names it. */
export const validations = "x-kubernetes-validations";

/** What the API server checks beyond types and patterns. */
export interface CELRule {
  /** In CEL, of `self`; with `oldSelf` it is checked when a resource is changed. */
  readonly rule: string;
  readonly message: string;
}

/** One rule in two languages: for whoever reads a manifest, and for the API server. */
export interface Rule<Value> {
  readonly message: string;
  readonly holds: (value: Value) => boolean;
  readonly cel: string;
  /** The field that a mistake is reported at; default: the value itself. */
  readonly path?: string[];
}

/** The schema with rules that both `parse` and the API server check. */
export function withRules<Schema extends z.ZodType>(
  schema: Schema,
  ...rules: readonly Rule<z.output<Schema>>[]
): Schema {
  const refined = rules.reduce(
    (sofar, { holds, message, path }) =>
      sofar.refine(holds, { message, ...(path === undefined ? {} : { path }) }),
    schema,
  );
  return withCEL(refined, ...rules.map(({ cel, message }) => ({ rule: cel, message })));
}

/** The schema with rules for the API server alone: what `parse` checks in another way, or what only Kubernetes forbids. */
export function withCEL<Schema extends z.ZodType>(schema: Schema, ...rules: readonly CELRule[]): Schema {
  const before = (schema.meta()?.[validations] ?? []) as readonly CELRule[];
  return schema.meta({ [validations]: [...before, ...rules] });
}

/** The schema of a field that cannot be changed once the resource is there. */
export function immutable<Schema extends z.ZodType>(schema: Schema, field: string): Schema {
  return withCEL(schema, {
    rule: "self == oldSelf",
    message: `${field} can't be changed: delete the resource and make another`,
  });
}
