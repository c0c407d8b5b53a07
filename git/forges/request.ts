import { AsteriskIacError, messageOf } from "../../core/errors.ts";
import { redactText } from "../../core/redact.ts";

/** After so long without an answer a forge is given up. Milliseconds. */
const defaultDeadlineMs = 10_000;

/** A pause that a forge asks for is kept within these, whatever its clock says. Milliseconds. */
const [shortestPauseMs, longestPauseMs] = [1_000, 3_600_000];

/**
 * A `fetch` for the client of a forge: with its token, a deadline, and no redirection, which would turn a change into a
 * look. What says nothing about the request itself is thrown as this project's error; other answers are given back.
 *
 * @param name what messages call the forge
 */
export function forgeFetch(
  name: string,
  token: () => Promise<string>,
  deadlineMs = defaultDeadlineMs,
): typeof fetch {
  return async (address, init) => {
    const headers = new Headers(init?.headers);
    const secret = await token();
    headers.set("authorization", `Bearer ${secret}`);
    const signal = AbortSignal.timeout(deadlineMs);
    const answer = await fetch(address, { ...init, headers, signal, redirect: "manual" }).catch(
      (cause: unknown) => {
        const why = signal.aborted
          ? `no answer within ${deadlineMs / 1000} s`
          : messageOf(causeOf(cause) ?? cause);
        throw unavailable(`${name} can't be reached: ${why}`, { next: "Retry" });
      },
    );
    if (answer.ok) return answer;
    const problem = problemOf(name, answer);
    // Somebody in between may repeat what was sent.
    const said = redactText(await answer.text().catch(() => ""), [secret]);
    if (problem !== undefined) throw problem;
    return new Response(said, answer);
  };
}

function problemOf(name: string, { status, headers }: Response): AsteriskIacError | undefined {
  if (status === 429 || (status === 403 && isPauseAsked(headers))) {
    const retryAfterMs = pauseOf(headers);
    const seconds = Math.ceil(retryAfterMs / 1000);
    return unavailable(`${name} asks for a pause of ${seconds} s: too many requests`, {
      next: "Waiting",
      retryAfterMs,
    });
  }
  if (status >= 500) return unavailable(`${name} has a fault (HTTP ${status})`, { next: "Retry" });
  if (status === 401) return unavailable(`${name} refuses the token`, { hint: tokenHint });
  if (status >= 300 && status < 400) {
    return unavailable(`${name} says that the repository is somewhere else`, {
      hint: "Correct source.git.url, or source.git.pullRequest.apiURL.",
    });
  }
  return undefined;
}

const tokenHint = "`token` of the repository's credentials must be allowed to read and write pull requests.";

/** A refusal is about the rate where it names a time or says that nothing is left. */
function isPauseAsked(headers: Headers): boolean {
  return headers.has("retry-after") || headers.get("x-ratelimit-remaining") === "0";
}

/** From `retry-after` (seconds or a date) or GitHub's `x-ratelimit-reset` (seconds since 1970); a minute without. */
function pauseOf(headers: Headers): number {
  const [after, reset] = [headers.get("retry-after"), headers.get("x-ratelimit-reset")];
  const milliseconds =
    after === null
      ? Number(reset ?? NaN) * 1000 - Date.now()
      : /^\d+$/.test(after)
        ? Number(after) * 1000
        : Date.parse(after) - Date.now();
  const asked = Number.isFinite(milliseconds) ? milliseconds : 60_000;
  return Math.min(Math.max(asked, shortestPauseMs), longestPauseMs);
}

/**
 * The answer to one request of a client that uses `forgeFetch`. Rejects with this project's error; `expected` turns
 * some refusals, by HTTP status, into answers.
 */
export async function ask<T, Other = never>(
  name: string,
  what: string,
  answer: Promise<T>,
  expected?: (status: number, message: string) => Other | undefined,
): Promise<T | Other> {
  try {
    return await answer;
  } catch (thrown) {
    const own = [thrown, causeOf(thrown)].find((each) => each instanceof AsteriskIacError);
    if (own !== undefined) throw own;
    const { status, message } = refusalOf(thrown);
    const other = status === undefined ? undefined : expected?.(status, message);
    if (other !== undefined) return other;
    const isHidden = status === 403 || status === 404;
    throw unavailable(
      `${name} refuses to ${what}: ${message} (HTTP ${status ?? "?"})`,
      isHidden ? { hint: `${tokenHint} A repository that it may not see counts as missing.` } : {},
    );
  }
}

/** The clients throw an Error with `status` (GitHub's) or a Response with `status` and `error` (Gitea's). */
function refusalOf(thrown: unknown): { status: number | undefined; message: string } {
  const { status, message, error } = thrown as {
    status?: number;
    message?: string;
    error?: { message?: string };
  };
  const said = String(error?.message ?? message ?? "no reason given");
  return { status, message: said.replace(/[\x00-\x1f\x7f]+/g, " ").slice(0, 300) };
}

function causeOf(thrown: unknown): unknown {
  return thrown instanceof Error ? thrown.cause : undefined;
}

function unavailable(
  message: string,
  details: ConstructorParameters<typeof AsteriskIacError>[2],
): AsteriskIacError {
  return new AsteriskIacError("SourceUnavailable", message, details);
}
