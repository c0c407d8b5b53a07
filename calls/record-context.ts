import type { RecordContext } from "./call-record.ts";
import type { NumberPlan } from "./numbers.ts";
import { numberReader } from "./numbers.ts";

/** What an AsteriskServer declares about its calls. */
export interface CallsDeclaration {
  readonly country?: string | undefined;
  /** IANA; default UTC. */
  readonly timeZone?: string | undefined;
  readonly numbers: Omit<NumberPlan, "country"> & { readonly trunks: readonly string[] };
}

/** How records of one server are made. */
export function recordContext(server: string, declared: CallsDeclaration): RecordContext {
  const { trunks, ...plan } = declared.numbers;
  const numbers = numberReader({ ...plan, country: declared.country });
  return {
    server,
    timeZone: declared.timeZone ?? "UTC",
    numbers,
    isTrunk: (endpoint) => {
      if (trunks.length > 0) return trunks.includes(endpoint);
      if (plan.extensions.length === 0) return undefined;
      return !numbers.isExtension(endpoint.replace(/^[^/]*\//, ""));
    },
  };
}
