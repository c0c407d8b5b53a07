/** Rules for an account's secret. No message says what it is. */
import type { LoadedSection } from "../load.ts";
import type { Findings, Spot } from "./findings.ts";
import { secretWeakness, shortestSecret } from "./manager-secret-strength.ts";

/** Accounts that Issabel ships with secrets that everybody can read (distributions-facts.md). */
const sampleAccounts = new Set(["phpconfig", "phpagi", "asttapi", "a2billing", "remote_mgr"]);

/** Looks at the secret that counts, the last one. */
export function lintSecret(section: LoadedSection, spot: Spot, findings: Findings): void {
  const { name } = section;
  const secret = section.variables.findLast((variable) => variable.name.toLowerCase() === "secret");
  if (sampleAccounts.has(name.toLowerCase())) {
    findings.warning(spot, {
      rule: "sample-account",
      message: `[${name}] is the name of a sample account that distributions ship with a known secret.`,
      fix: "Remove the account, or give it a new random secret and another name.",
    });
  }
  if (!secret) {
    findings.warning(spot, {
      rule: "secret-missing",
      message: `The account [${name}] has no secret: nobody can log in with it, or after a reload only with the one it had before.`,
      fix: "Add a `secret`, or remove the account.",
    });
    return;
  }
  const weakness = secretWeakness(secret.value, [name]);
  const advice = "Write at least 16 random characters.";
  const at = findings.valueSpot(secret);
  if (weakness === "empty") {
    findings.error(at, { rule: "secret-default", message: "This secret is empty.", fix: advice });
  } else if (weakness === "well-known") {
    const message = "This secret is a well-known default or the account's own name.";
    findings.error(at, { rule: "secret-default", message, fix: advice });
  } else if (weakness === "short") {
    const message = `This secret has fewer than ${String(shortestSecret)} characters: it can be guessed.`;
    findings.warning(at, { rule: "secret-short", message, fix: advice });
  } else if (weakness === "guessable") {
    const message =
      "This secret is made of words, names, dates, repetitions or sequences: it can be guessed.";
    findings.warning(at, { rule: "secret-guessable", message, fix: advice });
  }
}
