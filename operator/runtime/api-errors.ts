import { isNativeError } from "node:util/types";
import type { ErrorDetails } from "../../core/errors.ts";
import { AsteriskIacError, messageOf } from "../../core/errors.ts";
import type { APIRequest } from "./api.ts";

/** No answer came: the error that says so, with the innermost reason. */
export function unavailable(request: APIRequest, thrown: unknown): AsteriskIacError {
  const reason =
    request.signal?.aborted === true ? "given up, for it is no longer wanted" : innermost(thrown);
  return new AsteriskIacError("KubernetesUnavailable", `${what(request)}: ${reason}`, {
    next: "Retry",
    cause: thrown,
  });
}

/** undici says "fetch failed" and keeps what happened in `cause`. */
function innermost(thrown: unknown): string {
  let inner = thrown;
  while (isCaused(inner)) inner = inner.cause;
  const { code } = inner as { code?: unknown };
  return messageOf(inner) || String(code ?? "no reason given");
}

function isCaused(thrown: unknown): thrown is { readonly cause: Error } {
  return typeof thrown === "object" && thrown !== null && "cause" in thrown && isNativeError(thrown.cause);
}

/** An answer that is no success, as an error. */
export function refusal(
  request: APIRequest,
  answer: {
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly text: string;
  },
): AsteriskIacError {
  const { status } = answer;
  const said = saidBy(request, answer.text);
  const message = `${what(request)}: ${status}${said === "" ? "" : ` ${said}`}`;
  const refused = (code: AsteriskIacError["code"], details: ErrorDetails): AsteriskIacError =>
    new AsteriskIacError(code, message, details);
  // An object that is missing is told of by a Status; a kind that is missing is not.
  if (status === 404)
    return refused("KubernetesNotFound", said === "" ? { hint: "Apply the CRDs first." } : {});
  if (status === 409) return refused("KubernetesConflict", { next: "Retry" });
  if (status === 410) return refused("KubernetesExpired", { next: "Retry" });
  if (status === 401)
    return refused("KubernetesRefused", { next: "Retry", hint: "Look at the credentials." });
  if (status === 403) return refused("KubernetesRefused", { hint: "Look at the service account's role." });
  if (status !== 429 && status < 500) return refused("KubernetesRefused", {});
  const seconds = Number(answer.headers["retry-after"]);
  if (!(seconds > 0)) return refused("KubernetesUnavailable", { next: "Retry" });
  return refused("KubernetesUnavailable", { next: "Waiting", retryAfterMs: seconds * 1_000 });
}

function what({ method, path }: APIRequest): string {
  return `Kubernetes API: ${method} ${path}`;
}

/** The reason and message of a `Status`. Of a Secret only the reason: a message may quote what was sent. */
function saidBy({ path }: APIRequest, text: string): string {
  let status: { reason?: unknown; message?: unknown };
  try {
    status = JSON.parse(text) as typeof status;
  } catch {
    return "";
  }
  const parts = path.includes("/secrets") ? [status.reason] : [status.reason, status.message];
  return parts.filter((part) => typeof part === "string").join(": ");
}
