import { AsteriskIacError } from "../core/errors.ts";
import type { Refusal } from "../core/guard.ts";
import { explain } from "../core/plan.ts";
import type { ApplyResult } from "./apply.ts";

/** What to do about a refusal, in the words of a front that is not the command line. */
export type RefusalHints = Partial<Record<Refusal["code"], string>>;

/** Why an apply did not do what was asked, as an error; undefined where it did. */
export function applyError(result: ApplyResult, hints: RefusalHints = {}): AsteriskIacError | undefined {
  switch (result.outcome) {
    case "Applied":
    case "NothingToDo":
      return undefined;
    case "Refused": {
      const [first] = result.refusals;
      return new AsteriskIacError(
        first?.code === "ConfInvalid" ? "ConfInvalid" : "ApplyRefused",
        result.refusals.map((refusal) => messageOf(refusal, result)).join("\n"),
        { hint: result.refusals.map(({ code, hint }) => hints[code] ?? hint).join(" ") },
      );
    }
    case "RolledBack":
      return new AsteriskIacError(
        "NotVerified",
        `it was written, did not work, and the old bytes are back:\n${failuresOf(result)}`,
        { hint: "Mend what is declared, and apply it again." },
      );
    case "NotVerified":
      return new AsteriskIacError(
        "NotVerified",
        `what an earlier run wrote is not as it should be:\n${failuresOf(result)}`,
        { hint: "Somebody changed its files since, so nothing was put back. Look at the plan." },
      );
  }
}

/** Of a conflict, what kind it is, file by file. */
function messageOf({ code, message }: Refusal, { plan }: ApplyResult): string {
  if (code !== "Conflict") return message;
  const conflicts = plan.changes.filter(({ change }) => change.kind === "Conflict");
  return conflicts.map(({ change }) => `${change.path}: ${explain(change)}`).join("\n");
}

function failuresOf({ server }: ApplyResult): string {
  return (server?.verification.failures ?? [])
    .map(({ probe, expected, saw }) => `${probe}: expected ${expected}, saw ${saw}`)
    .join("\n");
}
