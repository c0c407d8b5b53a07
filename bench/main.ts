/** `npm run bench`: the project's speed, as figures against a goal or a peer in the same run. Exits with 1 where a goal is missed. */
import { benchConf } from "./conf.ts";
import { benchEdit } from "./edit.ts";
import { benchPass } from "./pass.ts";

const missed: string[] = [];

function report(what: string, figure: string, goal: string, met: boolean): void {
  console.log(`${met ? "ok  " : "MISS"}  ${what}: ${figure} (goal: ${goal})`);
  if (!met) missed.push(what);
}

const conf = benchConf();
report(
  "parse and stringify 1 MB",
  `${conf.parseAndStringify.toFixed(0)} MB/s`,
  "at least 50 MB/s",
  conf.parseAndStringify >= 50,
);
console.log(
  `      lines and a regular expression, lossy, in the same run: ${(conf.naivePeer / conf.parseAndStringify).toFixed(1)} times that speed`,
);

const edit = benchEdit();
report("one edit in 1 MB, reading included", `${edit.edit.toFixed(1)} ms`, "at most 30 ms", edit.edit <= 30);
console.log(
  `      a regular expression replaced in the text, in the same run: ${(edit.edit / edit.naivePeer).toFixed(1)} times faster`,
);

const pass = await benchPass();
report(
  "round trips of a pass over an unchanged server",
  `${pass.roundTrips}`,
  "at most 8",
  pass.roundTrips <= 8,
);
console.log(
  `      connecting, looking and comparing 102 files: ${pass.whole.toFixed(0)} ms, of which comparing ${pass.pass.toFixed(0)} ms`,
);

if (missed.length > 0) process.exitCode = 1;
