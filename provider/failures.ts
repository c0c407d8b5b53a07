import { ZodError } from "zod";
import type { ErrorCode } from "../core/errors.ts";
import { asAsteriskIacError } from "../core/errors.ts";
import { redactText } from "../core/redact.ts";
import { mistakesOf } from "../core/resource/index.ts";
import type { RefusalHints } from "../engine/apply-error.ts";
import type { Kind, Properties } from "./properties.ts";
import { secretsIn } from "./properties.ts";

/**
 * An error that Pulumi prints: what, where and what to do, without a stack, of which a user has nothing, and without a
 * secret.
 */
export class ResourceError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "";
    this.stack = message;
  }
}

const sameForAll: RefusalHints = {
  OtherManager:
    'If that one is out of use, put "take-over" into `allow` of the AsteriskServer. Nothing was written.',
  LargeChange:
    'If that is meant, put "large-change" into `allow` of the AsteriskServer. Nothing was written.',
  DirectionNotSet:
    "Set `updateDirection` of the AsteriskServer, or a rule for these files. Nothing was written.",
  ConfInvalid: "Mend what is declared. Nothing was written.",
};

/** What to do about a refusal, in Pulumi's words. */
export const refusalHints = {
  part: {
    ...sameForAll,
    Conflict:
      'Declare what is there, and it is adopted; or set onConflict: "TakeProgram", and what is there is overwritten and kept on the server. Nothing was written.',
  },
  server: {
    ...sameForAll,
    Conflict:
      'Set onConflict: "TakeSource" to write the folder\'s files to the server, or "TakeServer" for the other way round. Nothing was written.',
  },
} satisfies Record<string, RefusalHints>;

const newImport =
  "If that is right, make the initial import anew: give `importAgain` of the AsteriskServer a new value.";
const unreachable =
  "If the server is gone for good, take the resource out of the state: pulumi state delete. Nothing is put back then.";

const hints: Partial<Record<ErrorCode, string>> = {
  IdentityChanged: newImport,
  RecordKeyMissing: newImport,
  ImportNotDone: "Run `pulumi up` for the AsteriskServer first.",
  RecordInvalid: newImport,
  DuplicateServer: "Declare it once: two of them would overwrite each other.",
};

/** Runs what a handler does. Whatever fails is said of the resource, with what to do, and without any of its secrets. */
export async function telling<T>(
  {
    kind,
    properties,
    isDelete = false,
  }: { kind: Kind; properties: readonly Properties[]; isDelete?: boolean },
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    const name = properties[0]?.["name"];
    const error = thrown instanceof ZodError ? ofState(thrown) : toldOf(thrown, isDelete);
    const text = `${kind}${typeof name === "string" ? ` ${name}` : ""}${error}`;
    throw new ResourceError(redactText(text, properties.flatMap(secretsIn)));
  }
}

function toldOf(thrown: unknown, isDelete: boolean): string {
  const { code, message, where, hint } = asAsteriskIacError(thrown);
  const line = where.file === undefined || where.line === undefined ? [] : [String(where.line)];
  const place = [where.server, where.file, ...line].filter((part) => part !== undefined).join(":");
  const advice = [hints[code] ?? hint, isDelete && isUnreachable.has(code) ? unreachable : undefined];
  return [`${place === "" ? "" : ` (${place})`}: ${message}`, ...advice]
    .filter((part) => part !== undefined)
    .join("\n  ");
}

const isUnreachable = new Set<ErrorCode>([
  "Unreachable",
  "TimedOut",
  "ConnectionLost",
  "AuthenticationFailed",
  "HostKeyUnknown",
  "HostKeyMismatch",
  "IdentityChanged",
]);

function ofState(error: ZodError): string {
  const mistakes = mistakesOf(error).map(({ path, message }) => `${path.join(".")}: ${message}`);
  return `: its properties can't be read:\n${mistakes.join("\n")}\n  Run \`pulumi up\` with the version of asterisk-iac that wrote them.`;
}
