/** Letters, digits and dots, and nothing that ssh could read as an option; or an IPv6 address in brackets. */
const host = "([A-Za-z0-9][A-Za-z0-9.-]*|\\[[0-9A-Fa-f:.]+\\])";
const port = "(:[0-9]{1,5})?";
const user = "[A-Za-z0-9_][A-Za-z0-9_.-]*";
/** No blank, no control character, no backslash. */
const rest = "[^\\x00-\\x20\\x7f\\\\]";
/** Without a colon: `user@host:https://…` would be a protocol to git, and one that it does not know. */
const scpRest = "[^\\x00-\\x20\\x7f\\\\:]";

/**
 * The addresses of repositories that git is ever given: `https://…`, `ssh://…` and `user@host:path`; `http://` as
 * `isPlaintext` says. Everything else that git knows (`ext::…`, options, files) is no address. It is a pattern for JSON
 * schema and CEL too.
 */
export const gitURLPattern = new RegExp(
  `^(https?://${host}${port}/${rest}+|ssh://(${user}@)?${host}${port}/${rest}+|${user}@${host}:/?[^\\x00-\\x20\\x7f\\\\:/-]${scpRest}*)$`,
);

/** Plain HTTP to this very machine. */
export const loopbackHTTP = /^http:\/\/(127[.][0-9]+[.][0-9]+[.][0-9]+|localhost|\[::1\])[:/]/;

/** Whether what is said to a repository could be read on the way: what `allowPlaintext` is for. */
export function isPlaintext(url: string): boolean {
  return url.startsWith("http://") && !loopbackHTTP.test(url);
}

/** A branch's name: a part of what git allows, without what an option, a range or a refspec could be made of. */
export const branchPattern = /^[A-Za-z0-9_][A-Za-z0-9_+-]*([./][A-Za-z0-9_+-]+)*$/;

/** Why a branch's name is refused; undefined where it is not. */
export function branchProblem(branch: string): string | undefined {
  if (branch.length <= 200 && branchPattern.test(branch) && !/\.lock(\/|$)/.test(branch)) return undefined;
  return "is not the name of a branch";
}

/** Why a repository's address is refused; undefined where it is not. The address itself is not repeated. */
export function gitURLProblem(url: string, allowPlaintext: boolean): string | undefined {
  if (url.length > 1024 || !gitURLPattern.test(url))
    return "is not https://…, ssh://… or user@host:path, without credentials in it";
  return isPlaintext(url) && !allowPlaintext
    ? "sends credentials and files in the clear; allowPlaintext: true accepts that"
    : undefined;
}
