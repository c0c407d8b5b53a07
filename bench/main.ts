/** `npm run bench`: the project's speed, as figures against a goal or a peer in the same run. Exits with 1 where a goal is missed. */
import { benchConf } from "./conf.ts";
import { benchConsole } from "./console.ts";
import { benchEdit } from "./edit.ts";
import { benchFleet, names as fleetNames } from "./fleet.ts";
import { benchGit, gitLines } from "./git.ts";
import { benchOperator, table, writesOf } from "./operator.ts";
import { benchPass } from "./pass.ts";
import { benchPulumi } from "./pulumi.ts";
import { ansible, benchPush, ours } from "./push.ts";

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

const push = await benchPush();
report(
  "round trips of a push of fifty changed files",
  `${push.roundTrips}`,
  "at most 12",
  push.roundTrips <= 12,
);
const own = push.times.get(ours) ?? NaN;
console.log(`      plan, durable write, reload, verify, logins included: ${own.toFixed(0)} ms`);
for (const [name, milliseconds] of push.times) {
  if (name !== ours) console.log(`      ${name}, in the same run: ${times(milliseconds, own)} as long`);
}
const copied = push.times.get(ansible("loop", false));
if (copied !== undefined)
  report("a push beside Ansible's copy", times(copied, own), "at least 100 times", copied >= 100 * own);
const withMitogen = push.times.get(ansible("loop", true));
if (withMitogen !== undefined)
  report(
    "a push beside Ansible's copy with mitogen",
    times(withMitogen, own),
    "at least 10 times",
    withMitogen >= 10 * own,
  );

const fleet = await benchFleet();
console.log(
  `      ${fleet.servers} servers of ${fleet.memory.toFixed(0)} MiB: ${(fleet.servers / fleet.push).toFixed(1)} a second in a cold push of one ` +
    `file, ${fleet.unchanged.toFixed(1)} s for a look at all where nothing changed`,
);
for (const kind of [fleetNames.push, fleetNames.unchanged]) {
  const mine = fleet.paired.get(kind.ours) ?? NaN;
  console.log(`      20 servers, ${kind.ours}: ${mine.toFixed(2)} s`);
  for (const name of [kind.ansible, kind.mitogen]) {
    const peer = fleet.paired.get(name);
    if (peer !== undefined)
      console.log(`      20 servers, ${name}, in the same run: ${times(peer, mine)} as long`);
  }
}

for (const line of gitLines(await benchGit())) console.log(`      ${line}`);

const pulumi = await benchPulumi();
report(
  "Pulumi: the handlers' share of a refresh of 1,000 files",
  `${(pulumi.refresh / 1000).toFixed(1)} s`,
  "under 5 s",
  pulumi.refresh < 5000,
);
report(
  "Pulumi: connections and reloads of it",
  `${pulumi.ssh} SSH, ${pulumi.ami} AMI, ${pulumi.refreshReloads} reloads`,
  "one, one, none",
  pulumi.ssh === 1 && pulumi.ami === 1 && pulumi.refreshReloads === 0,
);
const { inBatches, asFolder } = pulumi;
const mostReloads = Math.ceil(100 / inBatches.parallel);
report(
  `Pulumi: reloads of a module for 100 changed files, ${inBatches.parallel} at a time`,
  `${inBatches.reloads}`,
  `at most ${mostReloads}`,
  inBatches.reloads >= 1 && inBatches.reloads <= mostReloads,
);
report("Pulumi: the same as a folder", `${asFolder.reloads}`, "one", asFolder.reloads === 1);
console.log(`      a folder takes ${times(inBatches.milliseconds, asFolder.milliseconds)} less long`);

const operator = await benchOperator();
report(
  "operator: 1,000 servers Ready",
  `${operator.ready.toFixed(1)} s`,
  "at most 40 s",
  operator.ready <= 40,
);
report(
  "operator: memory, with a session to each",
  `${operator.memory.ready.toFixed(0)} MiB`,
  "at most 150 MiB",
  operator.memory.ready <= 150,
);
const requests = [...operator.unchanged.requests.values()].reduce((sum, count) => sum + count, 0);
report(
  "operator: a pass over all without changes",
  `${writesOf(operator.unchanged.requests)} writes, ${requests} requests`,
  "none",
  requests === 0,
);
console.log(table(operator).replaceAll(/^/gm, "      "));

const watched = await benchConsole();
report(
  `console: ${watched.viewers} viewers of ${watched.linesPerSecond.toFixed(0)} log lines a second, beside a reconcile`,
  `${(watched.slower * 100).toFixed(0)} % longer`,
  "at most 10 %",
  watched.slower <= 0.1,
);
report(
  "console: memory that it takes on while it is watched",
  `${(watched.memory.last - watched.memory.first).toFixed(0)} MiB`,
  "at most 64 MiB",
  watched.memory.last - watched.memory.first <= 64,
);

const skipped = [...push.skipped, ...fleet.skipped];
for (const why of skipped) console.log(`SKIP  ${why}`);
if (skipped.length > 0)
  console.log(`SKIP  ${skipped.length} comparisons were not made; their goals are not proved`);

function times(longer: number, shorter: number): string {
  const ratio = longer / shorter;
  return `${ratio.toFixed(ratio < 10 ? 1 : 0)} times`;
}

if (missed.length > 0) process.exitCode = 1;
