import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "@jest/globals";
import { contentHash } from "../../core/record.ts";
import type { Run } from "./asteriskctl.ts";
import { asteriskctl } from "./asteriskctl.ts";
import type { KillScenario, Sight } from "./kill-scenario.ts";
import { CHANGES, EARLIER, EQUAL } from "./kill-scenario.ts";

/** SIGKILL of the process, or a reset of its connection. */
export type How = "SIGKILL" | "cut";

/** What became of a run that was to end at a step: where it did, or how many steps it has if it has fewer. */
interface Ended {
  readonly at?: string;
  readonly total?: number;
  readonly run: Run;
}

/** What the kills of one kind found. */
export interface Tally {
  readonly steps: number;
  readonly kills: number;
  /** Right after the kill the written side was old, new, or had some of each or staged files. */
  readonly found: { old: number; new: number; between: number };
  /** What the next run had to do. */
  readonly next: Record<string, number>;
}

/** Both sides before an untouched run and after it. */
interface Expected {
  readonly before: Sight;
  readonly after: Sight;
}

const hook = new URL("kill-hook.ts", import.meta.url).href;
const room = ".asterisk-iac/";

/**
 * Ends a run at each `stride`-th step, counted by the run itself, until one is over before its step comes; then runs it
 * once more and looks whether both sides are as they should be. Scenarios of several servers are worked on side by side.
 */
export async function killEverywhere(
  scenarios: readonly KillScenario[],
  how: How,
  stride: number,
): Promise<Tally> {
  const tally = { steps: 0, kills: 0, found: { old: 0, new: 0, between: 0 }, next: {} as Tally["next"] };
  let step = stride;
  let isOver = false;
  const worker = async (scenario: KillScenario): Promise<void> => {
    const expected = await untouched(scenario);
    while (!isOver) {
      const at = step;
      step += stride;
      await scenario.restore();
      const ended = await runUntil(scenario, how, at);
      if (ended.at === undefined) {
        isOver = true;
        tally.steps = ended.total ?? 0;
        return;
      }
      try {
        tally.found[await expectWhole(scenario, expected, ended.run)] += 1;
        await scenario.ageLock();
        const { outcome } = await scenario.run();
        tally.next[outcome] = (tally.next[outcome] ?? 0) + 1;
        await expectDone(scenario, expected);
      } catch (cause) {
        isOver = true;
        throw new Error(`${scenario.way}, ${how} at step ${ended.at}: ${String(cause)}`, { cause });
      }
      tally.kills += 1;
    }
  };
  const failed = (await Promise.allSettled(scenarios.map(worker))).find(
    ({ status }) => status === "rejected",
  );
  if (failed !== undefined) throw (failed as PromiseRejectedResult).reason;
  process.stderr.write(`${scenarios[0]?.way} ${how}: ${JSON.stringify(tally)}\n`);
  return tally;
}

async function untouched(scenario: KillScenario): Promise<Expected> {
  await scenario.restore();
  const before = await scenario.look();
  expect(await scenario.run()).toMatchObject({ outcome: "Applied" });
  const after = await scenario.look();
  for (const [path, text] of Object.entries(CHANGES)) {
    const hash = text.new === null ? undefined : contentHash(Buffer.from(text.new));
    expect([path, hashIn(after.server, path), hashIn(after.source, path)]).toEqual([path, hash, hash]);
  }
  await expectDone(scenario, { before, after });
  return { before, after };
}

async function runUntil(scenario: KillScenario, how: How, step: number): Promise<Ended> {
  const report = `${scenario.source}.steps`;
  await rm(report, { force: true });
  const run = await asteriskctl(scenario.args, {
    env: {
      KILL_AT: String(step),
      KILL_HOW: how,
      KILL_REPORT: report,
      NODE_OPTIONS: `--import ${hook}`,
    },
  });
  const lines = (await readFile(report, "utf8")).split("\n");
  const [at, total] = ["at ", "total "].map((word) =>
    lines.find((line) => line.startsWith(word))?.slice(word.length),
  );
  if (at === undefined) return { total: Number(total), run };
  if (how === "SIGKILL") expect(run.code).toBeNull();
  else {
    expect([0, 1]).toContain(run.code);
    expect(run.stderr).not.toMatch(/\n\s+at /);
  }
  return { at, run };
}

/** Whatever moment it is, each file is as it was or as it shall be, and the records can be read. */
async function expectWhole(
  scenario: KillScenario,
  { before, after }: Expected,
  run: Run,
): Promise<"old" | "new" | "between"> {
  const now = await scenario.look();
  for (const side of ["server", "source"] as const) {
    const paths = Object.keys({ ...before[side], ...after[side], ...now[side] });
    for (const path of paths.filter((name) => !isAside(name))) {
      expect([path, [before[side][path], after[side][path]]]).toEqual([
        path,
        expect.arrayContaining([now[side][path]]),
      ]);
    }
  }
  for (const name of ["import", "collected"]) {
    if (now.source[`${room}${name}.json`] === undefined) continue;
    JSON.parse(await readFile(join(scenario.source, room, `${name}.json`), "utf8"));
  }
  if (now.hostRecord !== undefined) JSON.parse(now.hostRecord);
  const written = scenario.way === "apply" ? "server" : "source";
  const is = (then: Sight): boolean =>
    JSON.stringify(withoutRoom(now[written])) === JSON.stringify(withoutRoom(then[written]));
  // What says that it is done, is.
  if (run.code === 0) expect(is(after)).toBe(true);
  return is(before) ? "old" : is(after) ? "new" : "between";
}

/** Both sides as after an untouched run, seen live, recorded, the old bytes kept, and nothing left lying about. */
async function expectDone(scenario: KillScenario, { after }: Expected): Promise<void> {
  const now = await scenario.look();
  expect(now.server).toEqual(after.server);
  expect(now.live).toEqual(after.live);
  expect(withoutRoom(now.source)).toEqual(withoutRoom(after.source));
  expect(Object.keys(now.source).filter((path) => path.startsWith(`${room}temporary/`))).toEqual([]);
  const unfinished = /^open\/|^record\.new$|^input$|^lock\./;
  expect(Object.keys(now.room).filter((path) => unfinished.test(path))).toEqual([]);

  const collected = await recordedFiles(join(scenario.source, room, "collected.json"));
  if (scenario.way === "apply") {
    const record = JSON.parse(now.hostRecord ?? "{}") as { verified?: boolean; files: Recorded };
    expect(record.verified).toBe(true);
    expect(record.files[EARLIER.path]).toMatchObject({ generation: 1 });
    for (const path of Object.keys(CHANGES))
      expect([path, record.files[path]?.hash]).toEqual([path, hashIn(after.server, path) ?? null]);
    expect(Object.keys(collected)).toEqual([EQUAL.path]);
  } else {
    expect(Object.keys(collected).sort()).toEqual([...Object.keys(CHANGES), EARLIER.path, EQUAL.path].sort());
  }
  const kept = scenario.way === "apply" ? now.room : now.source;
  const keptHashes = Object.entries(kept)
    .filter(([path]) => /(^|\/)kept\//.test(path))
    .map(([, description]) => description.split(" ").at(-1));
  for (const { old } of Object.values(CHANGES)) {
    if (old !== null) expect(keptHashes).toContain(contentHash(Buffer.from(old)));
  }
  expect(await scenario.pending()).toEqual([]);
}

type Recorded = Readonly<Record<string, { readonly hash: string | null } | undefined>>;

async function recordedFiles(file: string): Promise<Recorded> {
  return (JSON.parse(await readFile(file, "utf8")) as { files: Recorded }).files;
}

function hashIn(listing: Readonly<Record<string, string>>, path: string): string | undefined {
  return listing[path]?.split(" ").at(-1);
}

/** What is staged or kept, and directories: those of a change come and go with it. */
function isAside(path: string): boolean {
  return /(^|\/)\.asterisk-iac/.test(path) || path.endsWith("/");
}

function withoutRoom(listing: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(listing)
    .filter(([path]) => !path.startsWith(room))
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
