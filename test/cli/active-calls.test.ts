import { beforeAll, expect, test } from "@jest/globals";
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { asteriskctl } from "../support/asteriskctl.ts";
import { eventually } from "../support/calls-load.ts";
import type { LabServer } from "../support/lab.ts";
import { useLab } from "../support/lab.ts";
import { editedManifests } from "../support/manifest.ts";

const lab = useLab();
let server: LabServer;
let files: Record<"proceed" | "short" | "long", string>;

beforeAll(async () => {
  const [first] = lab.servers;
  if (first === undefined) throw new Error("the lab has no server");
  server = first;
  const waiting = (name: string, activeCallsTimeout: string): string =>
    editedManifests(lab, `${name}.yaml`, {
      pbx1: (spec) => Object.assign(spec, { onActiveCalls: "Wait", activeCallsTimeout }),
    });
  files = {
    proceed: join(lab.directory, "manifests.yaml"),
    short: waiting("short", "1s"),
    long: waiting("long", "1m"),
  };
  const waitingRoom = "\n[waiting]\nexten => 1,1,Answer()\n same => n,Wait(60)\n";
  await appendFile(join(server.configDirectory, "extensions.conf"), waitingRoom);
  await cli("dialplan reload");
  expect(await asteriskctl(["-f", files.proceed, "import"])).toMatchObject({ code: 0 });
});

const cli = async (command: string): Promise<string> =>
  (await server.run(["asterisk", "-rx", command])).stdout;

/** Both halves of one Local channel wait: one call, two channels. */
async function callUp(): Promise<void> {
  const file = "Channel: Local/1@waiting/n\nApplication: Wait\nData: 60\n";
  const spool = "/var/spool/asterisk/outgoing";
  const script = `cat >${spool}.call && chown asterisk: ${spool}.call && mv ${spool}.call ${spool}/test.call`;
  await server.run(["sh", "-c", script], { input: file });
  await eventually(async () => (await cli("core show channels count")).includes("2 active channels"));
}

async function hangUp(): Promise<void> {
  await cli("channel request hangup all");
  await eventually(async () => (await cli("core show channels count")).includes("0 active channels"));
}

let edits = 0;
async function edit(): Promise<string> {
  const line = `; edit ${(edits += 1)}`;
  await appendFile(join(lab.directory, "source/pbx1/queues.conf"), `${line}\n`);
  return line;
}
const isOnServer = async (line: string): Promise<boolean> =>
  (await server.run(["cat", "/etc/asterisk/queues.conf"])).stdout.includes(line);

test("a call that does not end: refused after the time that is declared, and nothing was written", async () => {
  const line = await edit();
  const quiet = await asteriskctl(["-f", files.short, "plan"]);
  await callUp();
  const refused = await asteriskctl(["-f", files.short, "apply", "--yes"]);
  expect(refused).toMatchObject({ code: 3 });
  expect(refused.stderr).toContain("pbx1: 1 call is up: waiting for their end, at most 1s");
  expect(refused.stdout).toContain("1 call is up still after 1s, and onActiveCalls is Wait");
  expect(await isOnServer(line)).toBe(false);

  const status = await asteriskctl(["-f", files.short, "status"]);
  expect(status.stdout).toContain("ToAsterisk, 1 active calls");
  const busy = await asteriskctl(["-f", files.short, "plan"]);
  expect(busy.stdout).toContain("\n  1 call is up\n");
  expect(quiet.stdout).not.toContain("up\n");
  const hashOf = (text: string): string | undefined => /plan ([0-9a-f]{12})/.exec(text)?.[1];
  expect(hashOf(busy.stdout)).toBe(hashOf(quiet.stdout));
  expect(hashOf(quiet.stdout)).toBeDefined();
  await hangUp();
});

test("it is written as soon as the call has ended", async () => {
  const line = await edit();
  await callUp();
  let said = "";
  const applying = asteriskctl(["-f", files.long, "apply", "--yes"], {
    onStart: (child) => child.stderr?.on("data", (text: string) => (said += text)),
  });
  await eventually(() => said.includes("1 call is up: waiting"));
  expect(await isOnServer(line)).toBe(false);
  await hangUp();
  expect(await applying).toMatchObject({ code: 0 });
  expect(await isOnServer(line)).toBe(true);
});

test("what Asterisk need not reload waits for nobody, nor does what is not told to wait", async () => {
  await callUp();
  await appendFile(join(lab.directory, "source/pbx1/app_skel.conf"), "; nobody reads this\n");
  const silent = await asteriskctl(["-f", files.short, "apply", "--yes"]);
  const line = await edit();
  const proceeds = await asteriskctl(["-f", files.proceed, "apply", "--yes"]);
  expect([silent.code, proceeds.code]).toEqual([0, 0]);
  expect(await isOnServer(line)).toBe(true);
  await hangUp();
});
