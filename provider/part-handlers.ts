import { isDeepStrictEqual } from "node:util";
import { maskValue } from "../core/conf/secrets.ts";
import type { Section } from "../core/conf/index.ts";
import { generateSecret } from "../engine/account-secret.ts";
import { accountOwner, confFileOwner } from "../engine/desired.ts";
import { MemorySecrets } from "../engine/memory-secrets.ts";
import { checkInputs } from "./check.ts";
import type { Connection } from "./connection.ts";
import { stateVersion } from "./connection.ts";
import { accountSecrets, declaredAccount, declaredFile } from "./declaration.ts";
import { telling } from "./failures.ts";
import type { Handlers } from "./handlers.ts";
import type { Part, PartState } from "./part-state.ts";
import { isRead } from "./part-state.ts";
import type { Kind, Properties } from "./properties.ts";
import { defined, inputsOf, objectAt, plain } from "./properties.ts";
import { workOn } from "./server-work.ts";

/** A kind of resource on a server. */
interface PartKind {
  readonly kind: Kind;
  /** Inputs for which another resource takes its place. */
  readonly identity: readonly string[];
  /** What it is to the engine. `olds`: its state so far. */
  readonly describe: (inputs: Properties, olds: Properties | undefined) => DescribedPart;
  /** Outputs beside those that all have. */
  readonly outputs: (described: DescribedPart, state: PartState) => Properties;
}

interface DescribedPart {
  readonly connection: Connection;
  readonly part: Part;
  /** The account's secret, which may be generated. */
  readonly secret?: string;
}

/** The handlers of a resource that is a part of a server. */
export function partHandlers({ kind, identity, describe, outputs }: PartKind): Handlers {
  const outputsOf = (described: DescribedPart, state: PartState): Properties => ({
    ...defined({ hash: state.hash, drifted: state.drift }),
    ...outputs(described, state),
  });
  const apply = async (inputs: Properties, olds: Properties | undefined) => {
    const described = describe(inputs, olds);
    const { connection, part } = described;
    const state = await workOn(connection).apply(part);
    return {
      id: `${connection.serverId}/${part.owner}`,
      outs: { ...inputs, stateVersion, ...outputsOf(described, state) },
    };
  };
  return {
    check: async (_olds, news) => ({ inputs: plain(news), failures: checkInputs(kind, plain(news)) }),
    diff: (_id, state, inputs) => {
      const [olds, news] = [plain(state), plain(inputs)];
      const replaces = identity.filter((key) => !isSameIdentity(key, olds[key], news[key]));
      const changes =
        replaces.length > 0 ||
        !isDeepStrictEqual(inputsOf(olds), inputsOf(news)) ||
        (olds["drifted"] !== undefined && !isOnlyReported(news));
      // Two paths, or two accounts, stand side by side: the new one is there before the old one goes.
      return Promise.resolve({ changes, replaces, deleteBeforeReplace: false });
    },
    create: (inputs) => telling({ kind, properties: [inputs] }, () => apply(plain(inputs), undefined)),
    update: (_id, olds, news) =>
      telling({ kind, properties: [news, olds] }, () => apply(plain(news), plain(olds))),
    read: (id, props) =>
      telling({ kind, properties: [props] }, async () => {
        const known = plain(props);
        const described = describe(known, known);
        const state = await workOn(described.connection).observe(described.part);
        return { id, props: { ...inputsOf(known), stateVersion, ...outputsOf(described, state) } };
      }),
    delete: (_id, props) =>
      telling({ kind, properties: [props], isDelete: true }, async () => {
        const { connection, part } = describe(plain(props), plain(props));
        if (part.file !== undefined && isRead(part.file)) return;
        await workOn(connection).apply({ owner: part.owner, released: part.owner, takes: false });
      }),
  };
}

/** Whether the server's policy is to leave what was changed there, so that an update would do nothing. */
function isOnlyReported(inputs: Properties): boolean {
  return objectAt(objectAt(inputs, "server"), "spec")?.["drift"] === "Report";
}

function isSameIdentity(key: string, old: unknown, now: unknown): boolean {
  if (key !== "server") return isDeepStrictEqual(old, now);
  const id = (value: unknown): unknown => (value as Partial<Connection> | undefined)?.serverId;
  return id(now) === undefined || id(old) === id(now);
}

/** Who owned it before, where that was under another name. */
function releasedOf(owner: string, before: string | undefined): Pick<Part, "released"> {
  return before === undefined || before === owner ? {} : { released: before };
}

/** What owns a part: the resource and what it is about, so that one can take the place of another of its name. */
function labelOf(name: string, subject: string): string {
  return `${name} (${subject})`;
}

function labelIn(olds: Properties | undefined, subject: string): string | undefined {
  return typeof olds?.["name"] === "string" ? labelOf(olds["name"], subject) : undefined;
}

export const accountHandlers = partHandlers({
  kind: "AMIAccount",
  identity: ["server", "username"],
  describe: (inputs, olds) => {
    const { name, connection, spec, secret: given, onConflict } = declaredAccount(inputs);
    const before = olds !== undefined && olds["rotate"] === inputs["rotate"] && olds["secret"] === undefined;
    const kept = before && typeof olds["password"] === "string" ? olds["password"] : undefined;
    const secret = given ?? kept ?? generateSecret();
    const label = labelOf(name, spec.username);
    const owner = accountOwner(label);
    const named = labelIn(olds, spec.username);
    return {
      connection,
      secret,
      part: {
        owner,
        account: { name: label, spec, secrets: new MemorySecrets(accountSecrets(secret)) },
        ...releasedOf(owner, named === undefined ? undefined : accountOwner(named)),
        takes: onConflict === "TakeProgram",
      },
    };
  },
  outputs: ({ secret }, { path, checks }) => ({
    ...defined({ password: secret, accountFile: path }),
    verified: Object.fromEntries(
      checks.filter(({ proved }) => proved).map(({ attribute, live }) => [attribute, live]),
    ),
  }),
});

export const fileHandlers = partHandlers({
  kind: "ConfFile",
  identity: ["server", "path"],
  describe: (inputs, olds) => {
    const { name, connection, spec, secrets, onConflict } = declaredFile(inputs);
    const label = labelOf(name, spec.path);
    const owner = confFileOwner(label);
    const named = labelIn(olds, spec.path);
    return {
      connection,
      part: {
        owner,
        file: { name: label, spec, secrets: new MemorySecrets(secrets) },
        ...releasedOf(owner, named === undefined ? undefined : confFileOwner(named)),
        takes: onConflict === "TakeProgram",
      },
    };
  },
  outputs: ({ part: { file } }, { sections, content, path }) => ({
    effectiveView: sections.map((section) => viewOf(path ?? "", section)),
    // Where Asterisk is the source, the file is what it has.
    ...(file !== undefined && isRead(file) ? defined({ liveContent: content?.toString("latin1") }) : {}),
  }),
});

function viewOf(path: string, { name, template, inherits, variables }: Section): Properties {
  return {
    name,
    template,
    inherits: [...inherits],
    variables: variables.map((variable) => ({
      name: variable.name,
      value: maskValue(path, variable.name, variable.value),
    })),
  };
}
