import { z } from "zod";
import { AsteriskIacError } from "../core/errors.ts";
import type { Plan } from "../core/plan.ts";

const planFile = z.object({
  version: z.literal(1),
  plans: z.array(z.looseObject({ server: z.string(), hash: z.string().regex(/^[0-9a-f]{64}$/) })).min(1),
});

/** A saved plan: what would be done and the hash of it, no content. Applying it computes the plan anew. */
export function formatPlanFile(plans: readonly Plan[]): string {
  const saved = plans.map(({ server, hash, updateDirection, changes }) => ({
    server,
    hash,
    updateDirection: updateDirection ?? null,
    changes: changes.map(({ change, sourceHash, serverHash }) => ({ ...change, sourceHash, serverHash })),
  }));
  return `${JSON.stringify({ version: 1, plans: saved }, undefined, 2)}\n`;
}

/** The hashes by server. Throws `InvalidArgument` for anything but a saved plan. */
export function parsePlanFile(text: string, file: string): ReadonlyMap<string, string> {
  try {
    return new Map(planFile.parse(JSON.parse(text)).plans.map(({ server, hash }) => [server, hash]));
  } catch (cause) {
    throw new AsteriskIacError("InvalidArgument", "this is not a saved plan", {
      where: { file },
      cause,
      hint: "Make one with `plan --out FILE`.",
    });
  }
}
