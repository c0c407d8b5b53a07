import { z } from "zod";
import { allowances } from "../core/guard.ts";
import { amiAccount, asteriskServer, confFile } from "../core/resource/index.ts";
import type { AMIAccountSpec, AsteriskServerSpec, ConfFileSpec } from "../core/resource/index.ts";
import type { SecretValues } from "../engine/memory-secrets.ts";
import type { Connection } from "./connection.ts";
import { connection } from "./connection.ts";
import type { Kind, Properties } from "./properties.ts";
import { defined, inputsOf, objectAt, without } from "./properties.ts";

/** What a program may decide for a conflict. `Fail`: nothing is written. */
const onConflict = z.enum(["Fail", "TakeProgram"]).default("Fail");
const onServerConflict = z.enum(["Fail", "TakeSource", "TakeServer"]).default("Fail");

/** Under which names values are handed to the engine as secrets. */
const secretNames = { ssh: "ssh", ami: "ami", ca: "ami-ca", account: "account" } as const;

/** A declared server, in the engine's terms. */
export interface DeclaredServer {
  readonly name: string;
  readonly spec: AsteriskServerSpec;
  readonly secrets: SecretValues;
  readonly allow: Connection["allow"];
  readonly onConflict: z.infer<typeof onServerConflict>;
}

/** What is declared on a server. */
interface DeclaredPart<Spec> {
  readonly name: string;
  readonly connection: Connection;
  readonly spec: Spec;
  readonly secrets: SecretValues;
  readonly onConflict: z.infer<typeof onConflict>;
}

const text = z.string();
const secretValues = z.record(text, z.record(text, text));

/** The inputs that are not fields of a spec, or hold the values that a spec only refers to. */
const fields = {
  AsteriskServer: z.looseObject({
    name: text,
    allow: z.array(z.enum(allowances)).default([]),
    onConflict: onServerConflict,
    importAgain: text.optional(),
    ssh: z
      .looseObject({ privateKey: text.optional(), password: text.optional(), knownHosts: text.optional() })
      .optional(),
    ami: z.looseObject({
      username: text.min(1, "is empty"),
      password: text.min(1, "is empty"),
      tls: z.looseObject({ ca: text.optional() }).optional(),
    }),
  }),
  AMIAccount: z.looseObject({
    name: text,
    server: connection,
    onConflict,
    secret: text.min(1, "is empty").optional(),
    rotate: text.optional(),
  }),
  ConfFile: z.looseObject({ name: text, server: connection, onConflict, secrets: secretValues.default({}) }),
} as const;

/** A field's schema beside the spec's, and the spec that inputs make: a reference in the place of each secret. */
export const schemas = {
  AsteriskServer: { fields: fields.AsteriskServer, spec: asteriskServer.shape.spec, specOf: serverSpec },
  AMIAccount: { fields: fields.AMIAccount, spec: amiAccount.shape.spec, specOf: accountSpec },
  ConfFile: { fields: fields.ConfFile, spec: confFile.shape.spec, specOf: fileSpec },
} as const;

/** Fields of the resource in other fronts that take a value here, and what takes it. */
export const otherwise: Readonly<Record<Kind, Readonly<Record<string, string>>>> = {
  AsteriskServer: {
    "ssh.credentialsSecretRef": "give `ssh.privateKey` or `ssh.password`, and `ssh.knownHosts`",
    "ssh.hostKeyPolicy": "give the server's host key as `ssh.knownHosts`",
    "ami.credentialsSecretRef": "give `ami.username` and `ami.password`",
    "source.git": "the command line and the operator read repositories; give `source.directory`",
    "source.resources": "without `source`, nothing is kept of what an import finds",
    interval: "Pulumi looks at the server when it is run",
    suspend: "Pulumi does nothing when it is not run",
    "ami.tls.caSecretRef": "give the certificate as `ami.tls.ca`",
  },
  AMIAccount: {
    serverRef: "give the AsteriskServer as `server`",
    secretRef: "give the value as `secret`",
    generate: "leave out `secret`, and one is generated",
  },
  ConfFile: {
    serverRef: "give the AsteriskServer as `server`",
    contentFrom: "read the file in the program, and give what is in it as `content`",
  },
};

function serverSpec(inputs: Properties): Properties {
  const [ssh, ami = {}] = [objectAt(inputs, "ssh"), objectAt(inputs, "ami")];
  const tls = objectAt(ami, "tls");
  const hasCredentials = [ssh?.["privateKey"], ssh?.["password"], ssh?.["knownHosts"]].some(Boolean);
  const reference = (name: string): Properties => ({ name });
  return {
    ...defined(
      without(inputs, [
        "name",
        "allow",
        "onConflict",
        "sourceHash",
        "importAgain",
        "ssh",
        "ami",
        "interval",
        "suspend",
      ]),
    ),
    ...defined({
      ssh: ssh && {
        ...without(ssh, ["privateKey", "password", "knownHosts", "credentialsSecretRef", "hostKeyPolicy"]),
        ...(hasCredentials ? { credentialsSecretRef: reference(secretNames.ssh) } : {}),
      },
      ami: {
        ...without(ami, ["username", "password", "tls"]),
        credentialsSecretRef: reference(secretNames.ami),
        ...defined({
          tls: tls && {
            ...without(tls, ["ca", "caSecretRef"]),
            ...(tls["ca"] === undefined ? {} : { caSecretRef: reference(secretNames.ca) }),
          },
        }),
      },
    }),
  };
}

function accountSpec(inputs: Properties): Properties {
  const others = ["name", "server", "onConflict", "secret", "rotate", ...Object.keys(otherwise.AMIAccount)];
  return {
    ...without(inputs, others),
    serverRef: { name: "server" },
    secretRef: { name: secretNames.account, key: "password" },
  };
}

function fileSpec(inputs: Properties): Properties {
  const others = ["name", "server", "onConflict", "secrets", ...Object.keys(otherwise.ConfFile)];
  return { ...without(inputs, others), serverRef: { name: "server" } };
}

/** The inputs of an AsteriskServer as the engine has it. Throws ZodError. */
export function declaredServer(properties: Properties): DeclaredServer {
  const inputs = inputsOf(properties);
  const { name, allow, onConflict: choice, ssh, ami } = fields.AsteriskServer.parse(inputs);
  const credentials = defined({
    "ssh-privatekey": ssh?.privateKey,
    password: ssh?.password,
    known_hosts: ssh?.knownHosts,
  });
  return {
    name,
    spec: asteriskServer.shape.spec.parse(serverSpec(inputs)),
    allow,
    onConflict: choice,
    secrets: defined({
      [secretNames.ssh]: Object.keys(credentials).length === 0 ? undefined : credentials,
      [secretNames.ami]: { username: ami.username, password: ami.password },
      [secretNames.ca]: ami.tls?.ca === undefined ? undefined : { "ca.crt": ami.tls.ca },
    }),
  };
}

/** The inputs of an AMIAccount as the engine has it; without `secret` one is to be made. Throws ZodError. */
export function declaredAccount(
  properties: Properties,
): Omit<DeclaredPart<AMIAccountSpec>, "secrets"> & { readonly secret: string | undefined } {
  const inputs = inputsOf(properties);
  const { name, server, onConflict: choice, secret } = fields.AMIAccount.parse(inputs);
  const spec = amiAccount.shape.spec.parse(accountSpec(inputs));
  return { name, connection: server, spec, secret, onConflict: choice };
}

/** An account's secret as the engine looks for it. */
export function accountSecrets(secret: string): SecretValues {
  return { [secretNames.account]: { password: secret } };
}

/** The inputs of a ConfFile as the engine has it. Throws ZodError. */
export function declaredFile(properties: Properties): DeclaredPart<ConfFileSpec> {
  const inputs = inputsOf(properties);
  const { name, server, onConflict: choice, secrets } = fields.ConfFile.parse(inputs);
  return {
    name,
    connection: server,
    spec: confFile.shape.spec.parse(fileSpec(inputs)),
    secrets,
    onConflict: choice,
  };
}
