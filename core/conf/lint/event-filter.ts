/**
 * Why Asterisk refuses an `eventfilter` (main/manager.c, manager_add_filter), or undefined where it takes it.
 * `name` is the variable's name, which may carry criteria: `eventfilter(name(Newchannel),method(exact))`.
 */
export function eventFilterProblem(name: string, value: string): string | undefined {
  const pattern = value.startsWith("!") ? value.slice(1) : value;
  const open = name.indexOf("(");
  if (open < 0) return pattern === "" ? "it has no pattern" : regexProblem(pattern);
  return advancedProblem(name.slice(open + 1).trim(), pattern);
}

const methods = new Set(["regex", "exact", "starts_with", "ends_with", "contains", "none"]);

function advancedProblem(criteria: string, pattern: string): string | undefined {
  if (!criteria.endsWith(")")) return "its criteria do not end in `)`";
  const given = new Map<string, string>();
  for (const option of criteria.split(/[ ,)]+/).filter((text) => text !== "")) {
    const key = ["action", "name", "header", "method"].find((known) => option.startsWith(known));
    if (key === undefined) return `its criterion "${option}" is unknown`;
    const open = option.indexOf("(");
    const argument = open < 0 ? "" : option.slice(open + 1);
    if (argument === "") return `its criterion "${key}" has no value`;
    given.set(key, argument);
  }
  if (given.size === 0) return "it has no criteria between the parentheses";
  const action = given.get("action");
  if (action !== undefined && action !== "include" && action !== "exclude")
    return `its action "${action}" is unknown`;
  const method = given.get("method") ?? "none";
  if (!methods.has(method)) return `its method "${method}" is unknown`;
  if (pattern === "" && method !== "none") return `its method "${method}" needs a pattern`;
  if (pattern !== "" && method === "none") return "it has a pattern but no method to match it with";
  if (method === "none" && !given.has("name") && !given.has("header"))
    return "it names neither an event nor a header";
  return method === "regex" ? regexProblem(pattern) : undefined;
}

// Only what every POSIX implementation refuses: an open bracket or group, and a backslash at the end.
function regexProblem(pattern: string): string | undefined {
  let groups = 0;
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at];
    if (character === "\\") {
      if (at === pattern.length - 1) return "its regular expression ends in a backslash";
      at++;
    } else if (character === "(") groups++;
    else if (character === ")" && groups > 0) groups--;
    else if (character === "[") {
      const end = bracketEnd(pattern, at);
      if (end === undefined) return "a `[` of its regular expression is never closed";
      at = end;
    }
  }
  return groups > 0 ? "a `(` of its regular expression is never closed" : undefined;
}

// A `]` directly after `[` or `[^` is a member; `[:alpha:]` and its like nest.
function bracketEnd(pattern: string, open: number): number | undefined {
  let at = open + 1;
  if (pattern[at] === "^") at++;
  if (pattern[at] === "]") at++;
  for (; at < pattern.length; at++) {
    if (pattern[at] === "]") return at;
    const kind = pattern[at + 1];
    if (pattern[at] === "[" && (kind === ":" || kind === "." || kind === "=")) {
      const end = pattern.indexOf(`${kind}]`, at + 2);
      if (end < 0) return undefined;
      at = end + 1;
    }
  }
  return undefined;
}
