/** What `manager show user` and `manager show users` print, read. Pure. */
import type { AccessRow, LiveAccount } from "../core/accounts/verification.ts";

/** Reads what `manager show user` prints of one account (handle_showmanager of main/manager.c); else `undefined`. */
export function parseManagerUser(text: string): LiveAccount | undefined {
  const fields = new Map<string, string>();
  const variables = new Map<string, string>();
  const lists: { name: string; rows: AccessRow[] }[] = [];
  for (const line of text.split("\n")) {
    // A variable may hold anything: it is known by the 17 blanks in front of it.
    const [, name, value] = /^ {17}(.*?) = (.*)$/.exec(line) ?? [];
    if (fields.has("Variables") && lists.length === 0 && name !== undefined) {
      variables.set(name, value ?? "");
      continue;
    }
    const [, list] = /^ACL: (.*?)(?: \(realtime\))?$/.exec(line) ?? [];
    const [, sense, address] = /^ *\d+: +(allow|deny) - (\S+)$/.exec(line) ?? [];
    const [, label, field] = /^ *([A-Za-z][A-Za-z ]*): ?(.*)$/.exec(line) ?? [];
    if (list !== undefined) lists.push({ name: list, rows: [] });
    else if (address !== undefined)
      lists.at(-1)?.rows.push({ sense: sense === "allow" ? "permit" : "deny", address });
    else if (label !== undefined && !fields.has(label)) fields.set(label, field ?? "");
  }
  const username = fields.get("username");
  const [read, write] = [fields.get("read perm"), fields.get("write perm")];
  if (username === undefined || read === undefined || write === undefined || !fields.has("Variables"))
    return undefined;
  return {
    username,
    hasSecret: fields.get("secret") === "<Set>",
    acl: lists.filter(({ name }) => name === "(unnamed)").flatMap(({ rows }) => rows),
    namedACLs: lists.filter(({ name }) => name !== "(unnamed)"),
    read: classesOf(read),
    write: classesOf(write),
    displayConnects: fields.get("displayconnects") === "yes",
    allowMultipleLogin: fields.get("allowmultiplelogin") === "yes",
    variables,
  };
}

function classesOf(printed: string): string[] {
  return printed === "<none>" ? [] : printed.split(",");
}

/** The names that `manager show users` prints; `undefined` where it printed something else. */
export function parseUsernames(text: string): string[] | undefined {
  if (text.startsWith("There are no manager users.")) return [];
  const [, names, total] =
    /^\nusername\n-+\n([\s\S]*)-{19}\n(\d+) manager users configured\.$/.exec(text) ?? [];
  const found = names?.split("\n").slice(0, -1);
  return found?.length === Number(total) ? found : undefined;
}
