/** Rules for pjsip.conf, after res/res_sorcery_config.c, and for the address lists of other modules. */
import type { Loaded } from "../load.ts";
import { parseACL } from "./acl.ts";
import type { Findings } from "./findings.ts";
import { hashFix } from "./hash.ts";
import { headerSpot } from "./manager.ts";
import { quote } from "./inert.ts";

/** Two objects of one type and name: Asterisk then loads none of that type. */
export function lintObjects(root: string, loaded: Loaded, findings: Findings): void {
  const seen = new Map<string, string>();
  for (const section of loaded.sections) {
    // What stands first counts up to Asterisk 22, and no sane section gives its type twice.
    const type = section.variables.find((variable) => variable.name.toLowerCase() === "type")?.value;
    if (section.template || type === undefined) continue;
    const key = `${type}\0${section.name}`;
    const earlier = seen.get(key);
    if (earlier !== undefined) {
      findings.error(headerSpot(section, root), {
        rule: "duplicate-object",
        message: `${quote(section.name)} of type ${quote(type)} is there already (${earlier}): Asterisk then loads no object of this type at all, and keeps the old ones on a reload.`,
        fix: "Rename one of them, or write `(+)` behind the name to add to the first.",
      });
    }
    seen.set(key, earlier ?? `line ${String(section.line)} of ${section.file}`);
  }
}

/** The permit and deny of acl.conf, iax.conf, pjsip.conf and sip.conf, which go by the same reader as AMI's. */
export function lintAddressLists(loaded: Loaded, findings: Findings): void {
  for (const section of loaded.sections) {
    for (const variable of section.variables) {
      const key = variable.name.toLowerCase();
      if (key !== "permit" && key !== "deny") continue;
      const { problem } = parseACL(key, variable.value);
      if (!problem) continue;
      const hash = hashFix(variable, findings);
      findings.error(findings.valueSpot(variable, problem.at, problem.length), {
        rule: "acl-invalid",
        message: `Asterisk refuses this ${key}, because ${problem.reason}.${hash ? " `#` starts no comment." : ""}`,
        fix:
          hash?.fix ??
          "Write `address`, `address/bits` or `address/netmask`, separated by commas without blanks.",
        ...(hash ? { edits: hash.edits } : {}),
      });
    }
  }
}
