import { AsteriskIacError } from "../../core/errors.ts";

/** A JSON schema, of which only what this file reads has a type. */
export type Schema = Readonly<Record<string, unknown>>;

/**
 * A schema of zod (`target: "openapi-3.0"`) as Kubernetes takes it: structural, so that every field has one type, and
 * what is unknown is pruned. Throws `InvalidArgument` for what has no structural form.
 */
export function structural(schema: Schema, at = "schema"): Schema {
  const { anyOf, properties, items, additionalProperties, description, maximum, ...rest } = schema;
  refuse(rest, at);
  return {
    ...(description === undefined ? {} : { description }),
    ...rest,
    // zod's own bound of a number says nothing to a user.
    ...(maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? {} : { maximum }),
    ...(anyOf === undefined ? {} : intOrString(anyOf as Schema[], at)),
    ...(properties === undefined ? {} : { properties: structuralFields(properties as Schema, at) }),
    ...(items === undefined ? {} : { items: structural(items as Schema, `${at}[]`) }),
    // `false` beside properties is what Kubernetes does anyway, and refuses to be told.
    ...(typeof additionalProperties === "object"
      ? { additionalProperties: structural(additionalProperties as Schema, `${at}{}`) }
      : {}),
  };
}

function structuralFields(properties: Schema, at: string): Schema {
  return Object.fromEntries(
    Object.entries(properties).map(([name, field]) => [name, structural(field as Schema, `${at}.${name}`)]),
  );
}

/** Limits of numbers hold for numbers only, patterns for strings only: side by side they mean what the union means. */
function intOrString(branches: readonly Schema[], at: string): Schema {
  const types = branches.map(({ type }) => String(type)).sort();
  if (types.join() !== "integer,string") throw notStructural(at, `a union of ${types.join(", ")}`);
  const limits = branches.flatMap((branch) => Object.entries(structural(branch, at)));
  const typeless = limits.filter(([key]) => key !== "type");
  return { "x-kubernetes-int-or-string": true, ...Object.fromEntries(typeless) };
}

const withoutForm = [
  "$ref",
  "oneOf",
  "allOf",
  "not",
  "const",
  "patternProperties",
  "propertyNames",
  "nullable",
];

function refuse(schema: Schema, at: string): void {
  const found = withoutForm.find((key) => key in schema);
  if (found !== undefined) throw notStructural(at, `\`${found}\``);
}

function notStructural(at: string, what: string): AsteriskIacError {
  return new AsteriskIacError(
    "InvalidArgument",
    `no CustomResourceDefinition can be made: ${at} has ${what}`,
    {
      hint: "Write the field so that it has one type, or a number or a string.",
    },
  );
}
