import type { OwnedSection, OwnedVariable } from "../conf/owned.ts";
import type { AMIAccountSpec } from "../resource/ami-account.ts";
import { milliseconds } from "../resource/duration.ts";

/**
 * The section of manager.conf that an account is. Every key is always written, in this order: a reload leaves what is
 * omitted as it was (secret, read, write, displayconnects, allowmultiplelogin, writetimeout); deny, permit, setvar and
 * eventfilter it takes anew (__init_manager of main/manager.c).
 * @param spec validated; its texts hold nothing that a .conf file could misread
 */
export function accountSection(spec: AMIAccountSpec, secret: string): OwnedSection {
  const each = (name: string, values: readonly string[]): OwnedVariable[] =>
    values.map((value) => ({ name, value }));
  return {
    name: spec.username,
    whole: true,
    variables: [
      { name: "secret", value: secret },
      ...each("deny", spec.deny),
      ...each("permit", spec.permit),
      { name: "read", value: classList(spec.read) },
      { name: "write", value: classList(spec.write) },
      { name: "displayconnects", value: yesOrNo(spec.displayConnects) },
      { name: "allowmultiplelogin", value: yesOrNo(spec.allowMultipleLogin) },
      { name: "writetimeout", value: String(milliseconds(spec.writeTimeout)) },
      ...each("setvar", settings(spec.variables)),
      ...each("eventfilter", spec.eventFilters),
    ],
  };
}

// get_perm takes a token with a blank around it, or an empty one in front of a comma, for something else.
function classList(classes: readonly string[]): string {
  return classes.length === 0 ? "none" : classes.join(",");
}

function yesOrNo(value: boolean): string {
  return value ? "yes" : "no";
}

// Sorted, so that the order of a map, which means nothing, changes no file.
function settings(variables: Readonly<Record<string, string>>): string[] {
  return Object.entries(variables)
    .map(([name, value]) => `${name}=${value}`)
    .sort();
}
