/**
 * Parse and stringify 1 MB of realistic configuration, beside a naive peer that splits lines and matches a regular
 * expression on each. Both give back text; only ours gives back every byte, and knows block comments and escapes.
 */
import { parse, stringify } from "../core/conf/cst.ts";

/** One megabyte of what servers hold: a dialplan, endpoints with templates, commented samples. */
export function realisticConf(size = 1_000_000): Buffer {
  const parts: string[] = [];
  for (let length = 0, number = 1000; length < size; number++) {
    const part = [
      `; ---------- extension ${number}: generated for the benchmark ----------`,
      `;`,
      `;callerid = "Somebody" <${number}>      ; commented out, as most of a sample is`,
      `[${number}](endpoint-template)`,
      `auth=${number}`,
      `aors = ${number}`,
      `callerid = "Extension ${number}" <${number}>   ; shown on the phone`,
      `set_var = GREETING=Hello\\; this is ${number}`,
      ``,
      `[ext-${number}]`,
      `exten => ${number},1,NoOp(Call from \${CALLERID(num)} to \${EXTEN})`,
      ` same => n,Dial(PJSIP/\${EXTEN},30,tTkK)`,
      ` same => n,GotoIf($["\${DIALSTATUS}" = "BUSY"]?busy:unavailable)`,
      ` same => n(busy),VoiceMail(\${EXTEN}@default,b)`,
      ``,
      ``,
    ].join("\n");
    parts.push(part);
    length += part.length;
  }
  return Buffer.from(parts.join("")).subarray(0, size);
}

/** What a first attempt looks like: enough to list variables, on sane files. */
function naive(bytes: Buffer): string {
  const lines = bytes.toString("latin1").split("\n");
  const entries = lines.map((line) => {
    const [, name, operator, value] = /^\s*([^;=[\]]+?)\s*(=>?)\s*(.*?)\s*(?:;.*)?$/.exec(line) ?? [];
    return { line, name, operator, value };
  });
  return entries.map(({ line }) => line).join("\n");
}

/** Megabytes a second: the median of `rounds`, after as many to warm up. */
export function throughput(work: () => unknown, size: number, rounds = 15): number {
  const seconds: number[] = [];
  for (let round = 0; round < 2 * rounds; round++) {
    const start = performance.now();
    work();
    if (round >= rounds) seconds.push((performance.now() - start) / 1000);
  }
  seconds.sort((a, b) => a - b);
  return size / 1e6 / (seconds[rounds >> 1] ?? Infinity);
}

/** What was measured, in MB/s. */
export function benchConf(): { parseAndStringify: number; naivePeer: number } {
  const bytes = realisticConf();
  return {
    parseAndStringify: throughput(() => stringify(parse(bytes)), bytes.length),
    naivePeer: throughput(() => naive(bytes), bytes.length),
  };
}

if (import.meta.main) {
  const { parseAndStringify, naivePeer } = benchConf();
  console.log(`conf: parse + stringify of 1 MB: ${parseAndStringify.toFixed(0)} MB/s (goal: at least 50)`);
  console.log(`conf: lines and a regular expression, lossy: ${naivePeer.toFixed(0)} MB/s`);
}
