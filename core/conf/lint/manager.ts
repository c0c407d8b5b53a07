/** Rules for manager.conf and its fragments, after __init_manager of main/manager.c. */
import type { Loaded, LoadedSection } from "../load.ts";
import type { Findings, Spot } from "./findings.ts";
import { lintAccount, rulesOf } from "./manager-account.ts";
import { lintListener } from "./manager-listener.ts";

/** Looks at what the AMI makes of the sections read from `root`. */
export function lintManager(root: string, loaded: Loaded, findings: Findings): void {
  const sections = loaded.sections.filter((section) => !section.template);
  const [general, ...laterGenerals] = sections.filter(isGeneral);
  for (const section of laterGenerals) ignoredGeneral(section, findings);
  // Fragments have no listener of their own: what they leave out is in the file that includes them.
  const listener = lintListener(root === "manager.conf", general, headerSpot(general, root), findings);

  const accounts = new Map<string, LoadedSection[]>();
  for (const section of sections) {
    if (isGeneral(section)) continue;
    const key = section.name.toLowerCase();
    accounts.set(key, [...(accounts.get(key) ?? []), section]);
  }
  for (const namesakes of accounts.values()) {
    for (const [index, section] of namesakes.entries()) {
      const earlier = namesakes[index - 1];
      if (earlier) replacedAccount(earlier, section, findings);
      lintAccount(section, index === namesakes.length - 1, listener, findings);
    }
  }
}

/** A section's header as a place to point at. */
export function headerSpot(section: LoadedSection | undefined, root: string): Spot {
  return section ? { file: section.file, line: section.line } : { file: root, line: 0 };
}

function isGeneral(section: LoadedSection): boolean {
  return section.name.toLowerCase() === "general";
}

function ignoredGeneral(section: LoadedSection, findings: Findings): void {
  const binds = section.variables.some((variable) => /bindaddr$/i.test(variable.name));
  const finding = {
    rule: "duplicate-section",
    message: `Asterisk reads the first [general] only: nothing here counts${binds ? ", the address to listen on included" : ""}.`,
    fix: "Write `[general](+)` to add to the first one.",
  } as const;
  const spot = { file: section.file, line: section.line };
  if (binds) findings.error(spot, finding);
  else findings.warning(spot, finding);
}

function replacedAccount(earlier: LoadedSection, section: LoadedSection, findings: Findings): void {
  const opens = rulesOf(earlier).length > 0 && rulesOf(section).length === 0;
  const finding = {
    rule: "duplicate-section",
    message:
      `The account [${section.name}] is there already: its deny, permit and filters from line ${String(earlier.line)} of ` +
      `${earlier.file} are dropped, other values replaced one by one${opens ? ", and as none is given here, it may log in from anywhere" : ""}.`,
    fix: "Keep one section for each account, or write `(+)` behind the second one's name.",
  } as const;
  const spot = { file: section.file, line: section.line };
  if (opens) findings.error(spot, finding);
  else findings.warning(spot, finding);
}
