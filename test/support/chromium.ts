import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { afterAll, beforeAll } from "@jest/globals";
import type { Browser } from "puppeteer-core";
import puppeteer from "puppeteer-core";
import { preparePlatform, unshare } from "../../lab/platform.ts";
import { debianTree } from "../../lab/root-tree.ts";

/** Debian's own build, its packages only unpacked: nothing of them runs but the browser. */
const recipe = [
  "--mode=root",
  "--variant=extract",
  "--include=chromium-headless-shell,fonts-dejavu-core",
  '--aptopt=Acquire::Check-Valid-Until "false"',
];

/** In the tree as its root, in namespaces of its own; on this machine's network. Ends with standard input. */
const script = `
set -eu
cd "$1"; shift
mkdir -p proc dev tmp
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs tmpfs tmp
exec 3<&0
(cat <&3 >/dev/null; kill -KILL -1) &
exec chroot . /usr/lib/chromium/chromium-headless-shell "$@" </dev/null
`;

const options = [
  "--no-sandbox",
  "--disable-gpu",
  "--remote-debugging-port=0",
  "--user-data-dir=/tmp/profile",
  "--no-first-run",
  "about:blank",
];

/** A real Chromium for the tests of the `describe` or file that calls it. It is set before the first test. */
export function useChromium(): { browser: Browser } {
  const used = {} as { browser: Browser };
  let end = async (): Promise<void> => undefined;
  beforeAll(async () => {
    await preparePlatform(() => undefined);
    const tree = await debianTree("bookworm", recipe, () => undefined);
    const [file = "", ...args] = unshare("--mount", "--pid", "--fork", "--kill-child");
    const child = spawn(file, [...args, "sh", "-c", script, "sh", tree, ...options], {
      stdio: ["pipe", "ignore", "pipe"],
    });
    const ended = once(child, "exit");
    end = async () => {
      child.stdin.destroy();
      await ended;
    };
    used.browser = await puppeteer.connect({
      browserWSEndpoint: await endpoint(createInterface({ input: child.stderr })),
      acceptInsecureCerts: true,
    });
    // What it still says is read and dropped.
    child.stderr.resume();
  }, 300_000);
  afterAll(async () => {
    await used.browser?.disconnect();
    await end();
  });
  return used;
}

async function endpoint(lines: AsyncIterable<string>): Promise<string> {
  const said: string[] = [];
  for await (const line of lines) {
    const found = /^DevTools listening on (ws:\S+)/.exec(line)?.[1];
    if (found !== undefined) return found;
    said.push(line);
  }
  throw new Error(`Chromium did not start: ${said.slice(-5).join("\n")}`);
}
