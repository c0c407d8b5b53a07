import { createHmac, scryptSync } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { messageOf } from "../core/errors.ts";
import { hasPendingChanges } from "../core/plan.ts";
import { comparePaths, formatImportRecord } from "../core/record.ts";
import type { ImportRecord } from "../core/record.ts";
import { applyServer } from "../engine/apply.ts";
import { applyError } from "../engine/apply-error.ts";
import { DirectorySource } from "../engine/directory-source.ts";
import { importServer } from "../engine/import.ts";
import type { Pass } from "../engine/pass.ts";
import { SeenServers } from "../engine/pass.ts";
import { planServer } from "../engine/plan.ts";
import { checkInputs } from "./check.ts";
import type { Connection } from "./connection.ts";
import { connection as connectionSchema, sourceDirectory, stateVersion } from "./connection.ts";
import { declaredServer } from "./declaration.ts";
import type { DeclaredServer } from "./declaration.ts";
import { refusalHints, telling } from "./failures.ts";
import type { Handlers } from "./handlers.ts";
import type { Properties } from "./properties.ts";
import { defined, hasUnknown, inputsOf, objectAt, plain } from "./properties.ts";
import { passOf } from "./shared-session.ts";

const kind = "AsteriskServer";

/** The handlers of a server: import at its creation, its folder in one commit, and how to reach it for its parts. */
export const serverHandlers: Handlers = {
  check: async (_olds, news) => {
    const inputs = plain(news);
    const failures = checkInputs(kind, inputs);
    if (failures.length > 0 || hasUnknown(inputs)) return { inputs, failures };
    try {
      // A folder that changed is a change of the resource.
      return { inputs: { ...inputs, ...(await sourceHashOf(declaredServer(inputs))) }, failures };
    } catch (error) {
      return {
        inputs,
        failures: [{ reason: `${kind} ${String(inputs["name"])}: source: ${messageOf(error)}` }],
      };
    }
  },
  diff: (_id, state, inputs) => {
    const [olds, news] = [plain(state), plain(inputs)];
    const hasDrift = olds["drifted"] !== undefined && news["drift"] !== "Report";
    return Promise.resolve({
      changes: hasDrift || !isDeepStrictEqual(inputsOf(olds), inputsOf(news)),
      replaces: [],
      deleteBeforeReplace: false,
    });
  },
  create: (inputs) =>
    telling({ kind, properties: [inputs] }, async () => {
      const { connection, outs } = await reconcile(plain(inputs), undefined);
      return { id: connection.serverId, outs };
    }),
  update: (_id, olds, news) =>
    telling({ kind, properties: [news, olds] }, async () => {
      const { outs } = await reconcile(plain(news), plain(olds));
      return { outs };
    }),
  read: (id, props) =>
    telling({ kind, properties: [props] }, async () => {
      const known = plain(props);
      const connection = connectionSchema.parse(known["connection"]);
      const seen = await passOf(connection, {}, async (pass) => ({
        ...outputsOf(pass, connection, objectAt(known, "initialImport")),
        ...(await driftOf(pass)),
      }));
      return { id, props: { ...inputsOf(known), ...seen } };
    }),
  // What was imported or written stays: the resource lets go of the server.
  delete: () => Promise.resolve(),
};

/** Imports, unless that was done, and where there is a folder brings server and folder together. */
async function reconcile(
  inputs: Properties,
  olds: Properties | undefined,
): Promise<{ readonly connection: Connection; readonly outs: Properties }> {
  const server = declaredServer(inputs);
  const known = connectionSchema.optional().parse(olds?.["connection"]);
  const again = inputs["importAgain"] !== undefined && inputs["importAgain"] !== olds?.["importAgain"];
  const reached = connectionOf(server, known);
  const { connection, initialImport } = await passOf(
    reached,
    { seen, importing: true, again },
    async (pass) => {
      const { record, alreadyDone } = await importServer(pass, { again });
      return {
        connection: withImport(reached, record),
        initialImport: alreadyDone ? objectAt(olds, "initialImport") : initialImportOf(record),
      };
    },
  );
  const outs = await passOf(
    connection,
    { seen, writing: sourceDirectory(server.spec) !== undefined },
    async (pass) => {
      if (sourceDirectory(server.spec) !== undefined) await bringTogether(pass, server);
      return {
        ...inputs,
        ...(await sourceHashOf(server)),
        ...outputsOf(pass, connection, initialImport),
      };
    },
  );
  return { connection, outs };
}

/** The machines that this run writes to, so that none is declared twice. */
const seen = new SeenServers();

/** How the server is reached. The record key lasts as long as the resource. */
function connectionOf(
  { name, spec, secrets, allow }: DeclaredServer,
  known: Connection | undefined,
): Connection {
  const key = known?.secrets["asterisk-iac"] ?? { "record-key": recordKeyOf(secrets) };
  return {
    stateVersion,
    name,
    serverId: known?.serverId ?? "",
    spec,
    allow: [...allow],
    secrets: { ...secrets, "asterisk-iac": key } as Connection["secrets"],
    ...(sourceDirectory(spec) === undefined ? defined({ importRecord: known?.importRecord }) : {}),
  };
}

/**
 * Made of what reaches the server: whoever was killed before the state was written makes the same key the next time, and
 * is no other manager to the server. It takes long on purpose, so that nobody guesses a password by it.
 */
function recordKeyOf(secrets: DeclaredServer["secrets"]): string {
  const material = JSON.stringify([
    secrets["ssh"]?.["ssh-privatekey"],
    secrets["ssh"]?.["password"],
    secrets["ami"],
  ]);
  return `base64:${scryptSync(material, "asterisk-iac record key", 32, { N: 2 ** 15, maxmem: 2 ** 26 }).toString("base64")}`;
}

/** The connection with what the import made. A server that was imported anew is still the same resource. */
function withImport(connection: Connection, record: ImportRecord): Connection {
  const { machine, configDirectory } = record.identity;
  const id = `${machine.replace(/^hmac-sha256:/, "").slice(0, 16)}:${configDirectory}`;
  return {
    ...connection,
    serverId: connection.serverId === "" ? id : connection.serverId,
    ...(sourceDirectory(connection.spec) === undefined
      ? { importRecord: formatImportRecord({ ...record, files: {} }) }
      : {}),
  };
}

async function bringTogether(pass: Pass, { allow, onConflict }: DeclaredServer): Promise<void> {
  const side = ({ TakeSource: "source", TakeServer: "server", Fail: undefined } as const)[onConflict];
  const result = await applyServer(pass, {
    allow: new Set(allow),
    keepsOthers: true,
    ...(side === undefined ? {} : { take: { side, scope: "conflicts", matches: () => true } }),
  });
  const error = applyError(result, refusalHints.server);
  if (error !== undefined) throw error;
}

async function driftOf(pass: Pass): Promise<Properties> {
  if (
    sourceDirectory(pass.declaration.spec) === undefined ||
    !hasPendingChanges(await planServer(pass, { keepsOthers: true }))
  )
    return {};
  return { drifted: "the server and its folder differ" };
}

/** What a server says of itself. */
function outputsOf(pass: Pass, connection: Connection, initialImport: Properties | undefined): Properties {
  return {
    stateVersion,
    connection,
    asteriskVersion: pass.asteriskVersion,
    configurationDirectory: pass.configDirectory,
    initialImport:
      initialImport ??
      (pass.record === undefined ? { done: false, files: {} } : initialImportOf(pass.record)),
  };
}

function initialImportOf({ state, doneAt, generation, files }: ImportRecord): Properties {
  const sorted = Object.entries(files).sort(([a], [b]) => comparePaths(a, b));
  return {
    done: state === "Done",
    ...defined({ time: doneAt }),
    revision: generation,
    files: Object.fromEntries(sorted.map(([path, { outcome }]) => [path, outcome])),
  };
}

/** One value for all files of the folder, under a secret: it goes to state, and must not help to guess what is in them. */
async function sourceHashOf({ spec, secrets }: DeclaredServer): Promise<{ sourceHash?: string }> {
  const directory = sourceDirectory(spec);
  if (directory === undefined) return {};
  const files = [...(await new DirectorySource(directory).list())];
  const mac = createHmac("sha256", JSON.stringify(secrets));
  mac.update(JSON.stringify(files.sort(([a], [b]) => comparePaths(a, b))));
  return { sourceHash: mac.digest("hex") };
}
