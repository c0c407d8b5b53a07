/** Rules for extconfig.conf. */
import type { Loaded } from "../load.ts";
import type { Findings } from "./findings.ts";
import { quote } from "./inert.ts";

/** Files that a database stands in for (main/config.c, reload_module): what is on disk then counts for nothing. */
export function lintMappings(loaded: Loaded, findings: Findings): void {
  const settings = loaded.sections.find(
    ({ name, template }) => name.toLowerCase() === "settings" && !template,
  );
  for (const variable of settings?.variables ?? []) {
    if (!/\.conf$/i.test(variable.name)) continue;
    findings.warning(findings.valueSpot(variable), {
      rule: "mapped-to-database",
      message: `Asterisk reads ${quote(variable.name)} from the database while its driver is loaded: the file of that name counts for nothing.`,
      fix: "Remove this line if the file is meant to be read.",
    });
  }
}
