import { z } from "zod";
import {
  amiAccount,
  amiAccountStatus,
  apiVersion,
  asteriskServer,
  asteriskServerStatus,
  confFile,
  confFileStatus,
} from "../../core/resource/index.ts";
import { structural } from "./structural.ts";
import type { Schema } from "./structural.ts";

/** A column of `kubectl get`. */
interface Column {
  readonly name: string;
  readonly type: "string" | "date";
  readonly description: string;
  readonly jsonPath: string;
}

interface Kind {
  readonly kind: string;
  readonly plural: string;
  readonly shortName: string;
  readonly description: string;
  readonly spec: z.ZodType;
  readonly status: z.ZodType;
  readonly columns: readonly Column[];
}

const condition = (name: string, type: string, description: string): Column => ({
  name,
  type: "string",
  description,
  jsonPath: `.status.conditions[?(@.type=="${type}")].status`,
});
const text = (name: string, jsonPath: string, description: string): Column => ({
  name,
  type: "string",
  description,
  jsonPath,
});
const ready = condition("Ready", "Ready", "Whether all is as declared, seen on the live server.");
const server = text("Server", ".spec.serverRef.name", "The AsteriskServer.");
const age: Column = {
  name: "Age",
  type: "date",
  description: "Since the resource was made.",
  jsonPath: ".metadata.creationTimestamp",
};

const kinds: readonly Kind[] = [
  {
    kind: "AsteriskServer",
    plural: "asteriskservers",
    shortName: "asterisk",
    description: "An Asterisk server, and which side is the source of truth for its configuration.",
    spec: asteriskServer.shape.spec,
    status: asteriskServerStatus,
    columns: [
      ready,
      text("Direction", ".spec.updateDirection", "The side that is written to."),
      condition("Imported", "InitialImportDone", "Whether the initial import is done."),
      condition("In Sync", "InSync", "Whether both sides are the same."),
      text("Version", ".status.asteriskVersion", "Asterisk's version."),
      age,
    ],
  },
  {
    kind: "AMIAccount",
    plural: "amiaccounts",
    shortName: "ami",
    description: "An account of Asterisk's manager interface.",
    spec: amiAccount.shape.spec,
    status: amiAccountStatus,
    columns: [
      ready,
      server,
      text("Username", ".spec.username", "The account's name."),
      text("File", ".status.file", "The file that holds the account."),
      age,
    ],
  },
  {
    kind: "ConfFile",
    plural: "conffiles",
    shortName: "conf",
    description:
      "A .conf file of an Asterisk server, or parts of one. Whoever may write one can run code on the server.",
    spec: confFile.shape.spec,
    status: confFileStatus,
    columns: [ready, server, text("Path", ".spec.path", "Below the configuration directory."), age],
  },
];

const [group = "", version = ""] = apiVersion.value.split("/");

/** The CustomResourceDefinitions, as objects, each with the name of its file. */
export function customResourceDefinitions(): { readonly file: string; readonly definition: Schema }[] {
  return kinds.map((kind) => ({ file: `${group}_${kind.plural}.yaml`, definition: definitionOf(kind) }));
}

function definitionOf({ kind, plural, shortName, description, spec, status, columns }: Kind): Schema {
  const singular = kind.toLowerCase();
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: "Namespaced",
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular,
        shortNames: [shortName],
        categories: ["asterisk-iac"],
      },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: columns,
          schema: {
            openAPIV3Schema: {
              description,
              type: "object",
              properties: {
                apiVersion: { description: `${apiVersion.value}.`, type: "string" },
                kind: { description: `${kind}.`, type: "string" },
                // Kubernetes describes it itself, and lets nobody else.
                metadata: { type: "object" },
                spec: { description: "What is declared.", ...schemaOf(spec, `${kind}.spec`) },
                status: { description: "What the operator has seen.", ...schemaOf(status, `${kind}.status`) },
              },
              required: ["spec"],
            },
          },
        },
      ],
    },
  };
}

function schemaOf(schema: z.ZodType, at: string): Schema {
  return structural(z.toJSONSchema(schema, { target: "openapi-3.0", io: "input" }) as Schema, at);
}
