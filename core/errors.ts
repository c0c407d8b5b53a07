import { isNativeError } from "node:util/types";

/**
 * The one error class. `code` says what went wrong (a closed union that fronts may switch on), `next` what
 * happens now: `Stalled` waits for a person, `Waiting` comes back at a time, `Retry` backs off and tries again.
 */
export type ErrorCode =
  // input
  | "InvalidManifest"
  | "InvalidArgument"
  | "SecretMissing"
  | "PathRefused"
  | "ConfInvalid"
  | "PolicyRefused"
  | "OwnedTwice"
  | "DirectionRefused"
  // reaching a server
  | "Unreachable"
  | "TimedOut"
  | "HostKeyUnknown"
  | "HostKeyMismatch"
  | "AlgorithmRefused"
  | "AuthenticationFailed"
  | "CertificateRefused"
  | "ConnectionLost"
  // what a server answered
  | "PermissionDenied"
  | "CommandFailed"
  | "UnexpectedAnswer"
  | "ActionRefused"
  | "ListingIncomplete"
  | "ListingEmpty"
  | "FileTooLarge"
  | "ReloadFailed"
  | "RestartFailed"
  | "NotVerified"
  | "ApplyRefused"
  | "CallsActive"
  // state
  | "IdentityUnknown"
  | "IdentityChanged"
  | "DuplicateServer"
  | "RecordInvalid"
  | "RecordKeyMissing"
  | "ImportNotDone"
  | "SourceUnavailable"
  | "ChangedMeanwhile"
  // a write on a server
  | "StaleGeneration"
  | "WriteInProgress"
  | "Interrupted"
  | "WriteFailed"
  // the Kubernetes API
  | "KubernetesUnavailable"
  | "KubernetesConflict"
  | "KubernetesNotFound"
  | "KubernetesExpired"
  | "KubernetesRefused"
  | "NotLeading"
  // the lab
  | "LabFailed";

/** What happens after an error. */
export type Next = "Stalled" | "Waiting" | "Retry";

/** Where it happened; shown in front of the message as `server: file:line:`. Lines and columns count from 1. */
export interface Where {
  readonly server?: string;
  readonly file?: string;
  readonly line?: number;
}

export interface ErrorDetails {
  /** What happens next; default `Stalled`. */
  readonly next?: Next;
  /** For `Waiting`: how long until it is worth another try. */
  readonly retryAfterMs?: number;
  readonly where?: Where;
  /** What the user can do about it, one or two sentences. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** An error with a message for people: what was tried, where, why it failed. Never holds a secret. */
export class AsteriskIacError extends Error {
  override readonly name = "AsteriskIacError";
  readonly code: ErrorCode;
  readonly next: Next;
  readonly retryAfterMs: number | undefined;
  readonly where: Where;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.next = details.next ?? "Stalled";
    this.retryAfterMs = details.retryAfterMs;
    this.where = details.where ?? {};
    this.hint = details.hint;
  }

  /** The same error, said of a server: fills in `where.server` if it is not known yet. */
  on(server: string): AsteriskIacError {
    if (this.where.server !== undefined) return this;
    return new AsteriskIacError(this.code, this.message, {
      next: this.next,
      where: { ...this.where, server },
      cause: this.cause,
      ...(this.retryAfterMs === undefined ? {} : { retryAfterMs: this.retryAfterMs }),
      ...(this.hint === undefined ? {} : { hint: this.hint }),
    });
  }
}

/** Any thrown value as an AsteriskIacError; what is not one already becomes `fallback`, with its message kept. */
export function asAsteriskIacError(
  thrown: unknown,
  fallback: ErrorCode = "UnexpectedAnswer",
): AsteriskIacError {
  if (thrown instanceof AsteriskIacError) return thrown;
  return new AsteriskIacError(fallback, messageOf(thrown), { next: "Retry", cause: thrown });
}

const connectionCodes: ReadonlySet<ErrorCode> = new Set([
  "Unreachable",
  "TimedOut",
  "HostKeyUnknown",
  "HostKeyMismatch",
  "AlgorithmRefused",
  "AuthenticationFailed",
  "CertificateRefused",
  "ConnectionLost",
]);

/** Whether an error says that a server could not be reached, or not to the end: nothing is known of it then. */
export function isUnreachable({ code }: AsteriskIacError): boolean {
  return connectionCodes.has(code);
}

/** The message of whatever was thrown. */
export function messageOf(thrown: unknown): string {
  return isNativeError(thrown) ? thrown.message : String(thrown);
}

/** Whether a system call failed with this code, e.g. `ENOENT`. Errors of another realm count too. */
export function hasErrorCode(thrown: unknown, code: string): boolean {
  return isNativeError(thrown) && "code" in thrown && thrown.code === code;
}
