import { z } from "zod";
import { withRules } from "./rules.ts";

const pattern = /^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$/;
const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;

/** A length of time as Kubernetes writes them: `100ms`, `5s`, `1m30s`. */
export const duration = z
  .string()
  .regex(pattern, { error: "is not a duration such as 100ms, 5s or 1m30s", abort: true })
  .max(32);

/** A duration in milliseconds. It has been validated: of any other text the result means nothing. */
export function milliseconds(text: string): number {
  const parts = text.matchAll(/([0-9.]+)(ms|s|m|h)/g);
  const sum = [...parts].reduce(
    (total, [, amount, unit]) => total + Number(amount) * units[unit as keyof typeof units],
    0,
  );
  return Math.round(sum);
}

/** How often something is done again. */
export const interval = withRules(duration, {
  message: "is not at least 1s and at most 24h",
  holds: (text) => milliseconds(text) >= 1000 && milliseconds(text) <= 86_400_000,
  cel: "duration(self) >= duration('1s') && duration(self) <= duration('24h')",
});
