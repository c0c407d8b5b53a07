import * as pulumi from "@pulumi/pulumi";
import type { AMIAccountArgs, AsteriskServerArgs, ConfFileArgs } from "./arguments.ts";
import type { Handlers } from "./handlers.ts";
import type { Kind } from "./properties.ts";

/** The `require` of the process in which the handlers run. */
declare const require: (id: "asterisk-iac/runtime") => { forKind(kind: Kind): Handlers };

/**
 * The handlers as Pulumi keeps them in state, where it writes their text: a few words that find this package again. So
 * neither secrets nor code lie in state, and a new version of the package is no change of the resources.
 */
function provider(kind: Kind): pulumi.dynamic.ResourceProvider {
  return {
    check: (olds, news) => require("asterisk-iac/runtime").forKind(kind).check(olds, news) as never,
    diff: (id, olds, news) => require("asterisk-iac/runtime").forKind(kind).diff(id, olds, news),
    create: (inputs) => require("asterisk-iac/runtime").forKind(kind).create(inputs),
    read: (id, props) => require("asterisk-iac/runtime").forKind(kind).read(id, props),
    update: (id, olds, news) => require("asterisk-iac/runtime").forKind(kind).update(id, olds, news),
    delete: (id, props) => require("asterisk-iac/runtime").forKind(kind).delete(id, props),
  };
}

/** The module of the resources' types: `pulumi-nodejs:dynamic/asterisk-iac:ConfFile`. */
const module = "asterisk-iac";

/** How the initial import of a server went. */
export interface InitialImport {
  done: boolean;
  /** ISO 8601. */
  time?: string;
  /** How often asterisk-iac had written to the server by then. */
  revision?: number;
  /** By path, what became of it: Stored, Equal, Kept, Outside, Unmanaged or Skipped. */
  files: Record<string, string>;
}

/** A section as Asterisk sees it; secrets in it are masked. */
export interface EffectiveSection {
  name: string;
  template: boolean;
  inherits: string[];
  variables: { name: string; value: string }[];
}

/**
 * An Asterisk server, reached over SSH and AMI. Creating it makes the initial import, and where it has a folder as
 * `source`, brings folder and server together. Deleting it changes nothing on the server.
 */
export class AsteriskServer extends pulumi.dynamic.Resource {
  /** What AMIAccounts and ConfFiles take as `server`: how the server is reached, a secret. */
  declare readonly connection: pulumi.Output<unknown>;
  declare readonly asteriskVersion: pulumi.Output<string>;
  declare readonly configurationDirectory: pulumi.Output<string>;
  declare readonly initialImport: pulumi.Output<InitialImport>;
  /** What differs from the folder, once a refresh saw it; the next `up` brings both together again. */
  declare readonly drifted: pulumi.Output<string | undefined>;

  constructor(name: string, args: AsteriskServerArgs, options?: pulumi.CustomResourceOptions) {
    const outputs = {
      connection: undefined,
      asteriskVersion: undefined,
      configurationDirectory: undefined,
      initialImport: undefined,
      drifted: undefined,
    };
    const secret = {
      ...(args.ssh === undefined ? {} : { ssh: pulumi.secret(args.ssh) }),
      ami: pulumi.secret(args.ami),
    };
    super(
      provider("AsteriskServer"),
      name,
      { ...outputs, name, ...args, ...secret },
      pulumi.mergeOptions(options, { additionalSecretOutputs: ["connection"] }),
      module,
      "AsteriskServer",
    );
  }
}

/**
 * An AMI account, verified on live Asterisk: created, or adopted where it is there already as declared. A secret that is
 * not given is generated.
 */
export class AMIAccount extends pulumi.dynamic.Resource {
  declare readonly username: pulumi.Output<string>;
  /** What to log in with, a secret. */
  declare readonly password: pulumi.Output<string>;
  /** The file that holds it, below the configuration directory. */
  declare readonly accountFile: pulumi.Output<string>;
  /** Of that file, under a key of the server's own. */
  declare readonly hash: pulumi.Output<string>;
  /** What live Asterisk shows of it, attribute by attribute. */
  declare readonly verified: pulumi.Output<Record<string, string>>;
  /** What was changed on the server, once a refresh saw it; the next `up` corrects it. */
  declare readonly drifted: pulumi.Output<string | undefined>;

  constructor(
    name: string,
    args: Omit<AMIAccountArgs, "server"> & { server: AsteriskServer | AMIAccountArgs["server"] },
    options?: pulumi.CustomResourceOptions,
  ) {
    const outputs = { password: undefined, hash: undefined, verified: undefined, drifted: undefined };
    const secret = args.secret === undefined ? {} : { secret: pulumi.secret(args.secret) };
    super(
      provider("AMIAccount"),
      name,
      { ...outputs, accountFile: undefined, name, ...args, ...secret, server: connectionOf(args.server) },
      pulumi.mergeOptions(options, { additionalSecretOutputs: ["password", "server"] }),
      module,
      "AMIAccount",
    );
  }
}

/**
 * A .conf file, or sections of one that others own, written to live Asterisk, reloaded and verified. Deleting it puts back
 * what was there before, or leaves it, as `deletionPolicy` says.
 */
export class ConfFile extends pulumi.dynamic.Resource {
  declare readonly path: pulumi.Output<string>;
  /** Of the file on the server, under a key of the server's own. */
  declare readonly hash: pulumi.Output<string>;
  /** What Asterisk makes of the file, includes and templates resolved; a secret. */
  declare readonly effectiveView: pulumi.Output<EffectiveSection[]>;
  /** Where Asterisk is the source: the file as it is there, byte for byte as ISO-8859-1; a secret. */
  declare readonly liveContent: pulumi.Output<string | undefined>;
  /** What was changed on the server, once a refresh saw it; the next `up` corrects it. */
  declare readonly drifted: pulumi.Output<string | undefined>;

  constructor(
    name: string,
    args: Omit<ConfFileArgs, "server"> & { server: AsteriskServer | ConfFileArgs["server"] },
    options?: pulumi.CustomResourceOptions,
  ) {
    const outputs = { hash: undefined, effectiveView: undefined, liveContent: undefined, drifted: undefined };
    const secret = args.secrets === undefined ? {} : { secrets: pulumi.secret(args.secrets) };
    super(
      provider("ConfFile"),
      name,
      { ...outputs, name, ...args, ...secret, server: connectionOf(args.server) },
      pulumi.mergeOptions(options, { additionalSecretOutputs: ["effectiveView", "liveContent", "server"] }),
      module,
      "ConfFile",
    );
  }
}

function connectionOf(server: unknown): pulumi.Output<unknown> {
  return pulumi.secret(server instanceof AsteriskServer ? server.connection : server);
}
