/**
 * One edit in 1 MB, reading included, beside the naive peer: a regular expression replaced in the text. The peer does
 * not know sections, comments or escapes; it only shows what the bytes alone cost.
 */
import { parse } from "../core/conf/cst.ts";
import { applyEdits, modify } from "../core/conf/edit.ts";
import { realisticConf } from "./conf.ts";

/** Milliseconds: the median of `rounds`, after as many to warm up. */
function median(work: () => unknown, rounds = 25): number {
  const times: number[] = [];
  for (let round = 0; round < 2 * rounds; round++) {
    const start = performance.now();
    work();
    if (round >= rounds) times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[rounds >> 1] ?? Infinity;
}

/** What was measured, in milliseconds for one edit of 1 MB. */
export function benchEdit(): { edit: number; naivePeer: number } {
  const bytes = realisticConf();
  // A section near the end of the file, found in its text.
  const number =
    /\[(\d+)\]\(endpoint-template\)[^[]*\[ext-\1\][^[]*$/.exec(bytes.toString("latin1"))?.[1] ?? "1000";
  const change = {
    kind: "set-variable",
    section: { name: number },
    name: "callerid",
    value: "Nobody",
  } as const;
  const line = new RegExp(`(\\[${number}\\][^[]*?\\ncallerid = )[^;\\n]*`);
  return {
    edit: median(() => applyEdits(bytes, modify(parse(bytes), change))),
    naivePeer: median(() => Buffer.from(bytes.toString("latin1").replace(line, "$1Nobody "), "latin1")),
  };
}

if (import.meta.main) {
  const { edit, naivePeer } = benchEdit();
  console.log(`edit: one value in 1 MB, parse included: ${edit.toFixed(1)} ms (goal: at most 30)`);
  console.log(
    `edit: a regular expression replaced: ${naivePeer.toFixed(1)} ms; ours takes ${(edit / naivePeer).toFixed(1)} times that`,
  );
}
