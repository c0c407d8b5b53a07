/** Rules for an account's secret. No message says what it is. */
import type { LoadedSection } from "../load.ts";
import type { Findings, Spot } from "./findings.ts";

/** Secrets of samples, tutorials and products, which are tried first. */
const defaultSecrets = new Set(
  (
    "secret mysecret password passw0rd pass admin asterisk asterisk1 manager changeme 1234 12345 123456 12345678 " +
    "amp111 amp109 elastix456 elastix issabel freepbx odoo test phpagi php[onfig myasterisk voip ami user default " +
    "letmein qwerty"
  ).split(" "),
);

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
  const { value } = secret;
  if (defaultSecrets.has(value.toLowerCase()) || value.toLowerCase() === name.toLowerCase() || value === "") {
    findings.error(findings.valueSpot(secret), {
      rule: "secret-default",
      message:
        value === ""
          ? "This secret is empty."
          : "This secret is a well-known default or the account's own name.",
      fix: "Write at least 16 random characters.",
    });
  } else if (value.length < 12) {
    findings.warning(findings.valueSpot(secret), {
      rule: "secret-short",
      message: "This secret has fewer than 12 characters: it can be guessed.",
      fix: "Write at least 16 random characters.",
    });
  }
}
