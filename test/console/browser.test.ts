import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "puppeteer-core";
import { useChromium } from "../support/chromium.ts";
import { useLab } from "../support/lab.ts";
import { startTestedConsole } from "../support/web-console.ts";
import type { TestedConsole } from "../support/web-console.ts";

const lab = useLab();
const chromium = useChromium();
let directory = "";
let tested: TestedConsole;
let page: Page;
/** What Chromium complained about, refusals of the content policy above all. */
const complaints: string[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "asterisk-iac-browser-"));
  tested = await startTestedConsole(lab, directory);
  page = await chromium.browser.newPage();
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.setViewport({ width: 1000, height: 560 });
});
afterAll(async () => {
  await tested.close();
  await rm(directory, { recursive: true, force: true });
});

/** Waits until the terminal shows what the pattern says. */
async function shows(pattern: RegExp): Promise<void> {
  const deadline = performance.now() + 60_000;
  let shown = "";
  while (performance.now() < deadline) {
    shown = String(await page.evaluate(`document.querySelector(".xterm-rows")?.innerText`)).replaceAll(
      "\u00a0",
      " ",
    );
    if (pattern.test(shown)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`the terminal never showed ${pattern.source}, but:\n${shown}\n${complaints.join("\n")}`);
}

async function pressControl(key: "c" | "u"): Promise<void> {
  await page.keyboard.down("Control");
  await page.keyboard.press(key);
  await page.keyboard.up("Control");
}

test("sign in, type with completion, see the live log, resize, reconnect", async () => {
  await page.goto(tested.web.url);
  await page.waitForSelector("#sign-in:not([hidden])");
  await page.type("#token", "nobody's");
  await page.keyboard.press("Enter");
  await page.waitForFunction(`document.querySelector("#problem").textContent.includes("nobody")`);
  const { token } = await tested.tokens.create({ who: "alice", role: "operator", validForMs: 300_000 });
  await page.type("#token", token);
  await page.keyboard.press("Enter");
  await shows(/pbx1\*CLI>/);

  // Tab: Asterisk and the role's own list say what may follow.
  await page.keyboard.type("core show up");
  await page.keyboard.press("Tab");
  await shows(/core show uptime /);
  await page.keyboard.press("Enter");
  await shows(/System uptime: /);
  await page.keyboard.type("core show ch");
  await page.keyboard.press("Tab");
  await shows(/core show channel/);
  await page.keyboard.press("Tab");
  await shows(/channels +channeltype +channeltypes/);
  await page.keyboard.type("s");
  await page.keyboard.press("Enter");
  await shows(/0 active channels/);

  // The live log comes above the line that is being typed.
  await page.keyboard.type("half a line");
  await lab.servers[0]?.run(["asterisk", "-rx", "dialplan reload"]);
  await shows(/Including switch[^]*CLI> half a line/);
  await pressControl("c");

  await page.keyboard.type("core restart now");
  await page.keyboard.press("Enter");
  await shows(/refused: The role operator may not use this command; admin may\./);
  // What is pasted is not entered, whatever line breaks it holds.
  await page.evaluate(`(() => {
    const clipboardData = new DataTransfer();
    clipboardData.setData("text/plain", "core reload\\r\\n\\x1b[2Jcore restart now\\r");
    document.querySelector(".xterm-helper-textarea").dispatchEvent(
      new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
  })()`);
  await shows(/CLI> core reload \[2Jcore restart now/);
  await pressControl("u");

  const columns = (): Promise<number> =>
    page.evaluate(
      `document.querySelector(".xterm-rows").firstElementChild.getBoundingClientRect().width`,
    ) as Promise<number>;
  const wide = await columns();
  await page.setViewport({ width: 640, height: 480 });
  await page.waitForFunction(
    `document.querySelector(".xterm-rows").firstElementChild.getBoundingClientRect().width < ${wide}`,
  );
  await page.keyboard.type("x".repeat(90));
  await shows(/xxxxx/);
  await pressControl("u");
  await page.setViewport({ width: 1000, height: 560 });

  // Asterisk restarts: the console says so and goes on by itself.
  await lab.servers[0]?.run(["asterisk", "-rx", "core restart now"]);
  await page.waitForFunction(`document.querySelector("#state").dataset.connected === "false"`);
  await page.waitForFunction(`document.querySelector("#state").dataset.connected === "true"`, {
    timeout: 30_000,
  });
  // What Asterisk logs while it starts would push the answer out of sight.
  await lab.servers[0]?.run(["asterisk", "-rx", "core waitfullybooted"]);
  await page.keyboard.type("core show version");
  await page.keyboard.press("Enter");
  await shows(/Asterisk 22/);

  await page.keyboard.press("ArrowUp");
  await shows(/CLI> core show version/);
  await page.click("#sign-out");
  await page.waitForSelector("#sign-in:not([hidden])");
  expect(complaints.filter((text) => !/401/.test(text))).toEqual([]);
});
