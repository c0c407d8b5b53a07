import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LogFeed } from "../../engine/console-log.ts";
import { onlyServer } from "../support/host-sshd.ts";
import { useLab } from "../support/lab.ts";
import { until } from "../support/until.ts";
import { startTestedConsole, TestedBrowser } from "../support/web-console.ts";
import type { TestedConsole, TestedSocket } from "../support/web-console.ts";

const lab = useLab();
let directory = "";
let tested: TestedConsole;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "asterisk-iac-flood-"));
  tested = await startTestedConsole(lab, directory);
});
afterAll(async () => {
  await tested.close();
  await rm(directory, { recursive: true, force: true });
});

test("a flood of lines becomes a few bounded texts, made once for all followers; the rest is counted", () => {
  jest.useFakeTimers();
  const feed = new LogFeed();
  const texts: string[][] = [];
  let omitted = 0;
  for (let follower = 0; follower < 50; follower++) {
    const own: string[] = [];
    texts.push(own);
    feed.add({
      verbosity: 3,
      onText: (text, left) => {
        own.push(text);
        if (follower === 0) omitted += left;
      },
    });
  }
  for (let line = 0; line < 50_000; line++) {
    feed.push({ level: 3, text: `line ${line}` });
    if (line % 500 === 0) jest.advanceTimersByTime(100);
  }
  jest.advanceTimersByTime(1000);
  jest.useRealTimers();
  const lines = texts[0]?.join("").split("\n").length ?? 0;
  expect(lines - 1 + omitted).toBe(50_000);
  // Ten seconds: at most forty lines twice a second.
  expect(lines).toBeLessThan(1000);
  expect(texts.every((own) => own.length === texts[0]?.length)).toBe(true);
});

/** Lets one channel write some thousand lines a second to the log, without end. */
async function flood(): Promise<void> {
  const dialplan = [
    "",
    "[flood]",
    "exten => s,1,Answer()",
    ...Array<string>(25).fill(" same => n,Log(NOTICE,a line of a busy server)"),
    " same => n,Wait(0.005)",
    " same => n,Goto(s,2)",
    "",
  ].join("\n");
  const script = `
    cat >>/etc/asterisk/extensions.conf && asterisk -rx "dialplan reload" >/dev/null &&
    printf 'Channel: Local/s@flood/n\\nApplication: Wait\\nData: 36000\\n' >/tmp/flood.call &&
    chown asterisk /tmp/flood.call && mv /tmp/flood.call /var/spool/asterisk/outgoing/`;
  expect((await onlyServer(lab).run(["sh", "-c", script], { input: dialplan })).code).toBe(0);
}

test("viewers of a server that writes thousands of lines a second: one that reads nothing delays nobody", async () => {
  const browser = new TestedBrowser(tested.web);
  await browser.signIn(tested.tokens, "viewer");
  const viewers: TestedSocket[] = [];
  for (let count = 0; count < 20; count++) viewers.push(await browser.console());
  const [reading, stalled] = viewers;
  if (reading === undefined || stalled === undefined) throw new Error("no viewers");
  stalled.socket.pause();
  await flood();
  const left = (of: TestedSocket): number =>
    of.messages.reduce((sum, { type, omitted }) => sum + (type === "log" ? Number(omitted) : 0), 0);
  await until(() => left(reading) > 5_000, 30_000);
  const told = reading.messages.reduce((sum, message) => sum + JSON.stringify(message).length, 0);
  const counted = left(reading);
  expect(told).toBeLessThan(counted * 10);
  const asked = performance.now();
  expect(await reading.line("core show uptime")).toMatchObject({ outcome: "Answered" });
  expect(performance.now() - asked).toBeLessThan(5_000);
  for (const viewer of viewers) viewer.socket.terminate();
});
