import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { z } from "zod";
import { customResourceDefinitions } from "../../operator/crd/definition.ts";
import { structural } from "../../operator/crd/structural.ts";
import { crdFiles, folders } from "../../operator/crd/write.ts";

const root = join(import.meta.dirname, "../..");

interface Field {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Record<string, Field>;
  readonly items?: Field;
  readonly additionalProperties?: Field;
  readonly default?: unknown;
}

/** Every field with its path, the items of lists and the values of maps among them. */
function* fieldsOf(field: Field, path: string): Generator<[string, Field]> {
  yield [path, field];
  for (const [name, inner] of Object.entries(field.properties ?? {}))
    yield* fieldsOf(inner, `${path}.${name}`);
  if (field.items !== undefined) yield* fieldsOf(field.items, `${path}[]`);
  if (field.additionalProperties !== undefined) yield* fieldsOf(field.additionalProperties, `${path}{}`);
}

const schemas = customResourceDefinitions().map(({ definition }) => {
  const { names, versions } = definition["spec"] as {
    names: { kind: string };
    versions: { schema: { openAPIV3Schema: Field } }[];
  };
  return { kind: names.kind, schema: versions[0]?.schema.openAPIV3Schema ?? {} };
});
const allFields = schemas.flatMap(({ kind, schema }) => [...fieldsOf(schema, kind)]);
// Kubernetes describes `metadata` itself; items and values are described with the list or map.
const named = allFields.filter(([path]) => !/([\]}]|^\w+\.metadata)$/.test(path));

test.each(folders)("%s holds what the schemas make, and nothing else", async (folder) => {
  const names = await readdir(join(root, folder));
  const there = await Promise.all(
    names.map(async (name) => [name, await readFile(join(root, folder, name), "utf8")] as const),
  );
  // The remedy of a difference is `npm run crds`.
  expect(new Map(there)).toEqual(crdFiles());
});

test("every kind has its definition", () => {
  expect(schemas.map(({ kind }) => kind)).toEqual(["AsteriskServer", "AMIAccount", "ConfFile"]);
  expect(named.length).toBeGreaterThan(100);
});

test.each(named)("%s is described in a sentence", (_, { description }) => {
  expect(description).toMatch(/\.$/);
});

test.each(allFields)("%s has one type", (_, field) => {
  const isIntOrString = "x-kubernetes-int-or-string" in field;
  expect(isIntOrString ? field.type : typeof field.type).toBe(isIntOrString ? undefined : "string");
});

test("defaults are the schema's", () => {
  const defaults = Object.fromEntries(
    allFields.flatMap(([path, field]) => ("default" in field ? [[path, field.default]] : [])),
  );
  expect(defaults).toMatchObject({
    "AsteriskServer.spec.interval": "10m",
    "AsteriskServer.spec.suspend": false,
    "AsteriskServer.spec.maxChange": "30%",
    "AsteriskServer.spec.ami.port": 5038,
    "AsteriskServer.spec.files": ["**/*.conf", "**/*.ael", "**/*.lua"],
    "AMIAccount.spec.deny": ["0.0.0.0/0", "::/0"],
    "ConfFile.spec.sections[].exclusive": false,
  });
});

describe("what has no structural form is refused, naming the field", () => {
  const refused = (schema: z.ZodType) => () =>
    structural(
      z.toJSONSchema(schema, { target: "openapi-3.0", io: "input" }) as Record<string, unknown>,
      "x",
    );

  test("a union of objects", () => {
    const union = z.union([z.object({ a: z.string() }), z.object({ b: z.string() })]);
    expect(refused(z.object({ one: union }))).toThrow(/x\.one has a union of object, object/);
  });

  test("a field that may be null", () => {
    expect(refused(z.object({ one: z.string().nullable() }))).toThrow(/x\.one has `nullable`/);
  });
});

test("a number or a string keeps the limits of both", () => {
  const either = z.union([z.int().min(0), z.string().regex(/^[0-9]+%$/)]);
  const schema = z.toJSONSchema(either, { target: "openapi-3.0", io: "input" }) as Record<string, unknown>;
  expect(structural(schema)).toEqual({
    "x-kubernetes-int-or-string": true,
    minimum: 0,
    pattern: "^[0-9]+%$",
  });
});
