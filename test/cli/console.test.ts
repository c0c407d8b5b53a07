import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { serveWebConsole } from "../../cli/console-web.ts";
import type { WebOptions } from "../../cli/console-web.ts";
import { contextOf } from "../../cli/context.ts";
import { asteriskctl, asteriskctlJSON } from "../support/asteriskctl.ts";
import type { Run } from "../support/asteriskctl.ts";
import { rejection } from "../support/host-sshd.ts";
import { useLab } from "../support/lab.ts";
import { until } from "../support/until.ts";

const lab = useLab();
const manifests = (): string => join(lab.directory, "manifests.yaml");
let state = "";
beforeAll(async () => {
  state = await mkdtemp(join(tmpdir(), "asterisk-iac-state-"));
});
afterAll(() => rm(state, { recursive: true, force: true }));

const run = (args: readonly string[], env: Record<string, string> = {}): Promise<Run> =>
  asteriskctl(["-f", manifests(), "console", ...args], { env: { XDG_STATE_HOME: state, ...env } });

/** The console in a real terminal, by script(1). */
function inTerminal(): { type(keys: string): void; shown(): string; ended: Promise<unknown> } {
  const command = [
    process.execPath,
    join(import.meta.dirname, "../../cli/main.ts"),
    "-f",
    manifests(),
    "console",
    "pbx1",
  ];
  const child = spawn("script", ["-qec", command.map((word) => `'${word}'`).join(" "), "/dev/null"], {
    env: { ...process.env, XDG_STATE_HOME: state, TERM: "xterm", NO_COLOR: "", FORCE_COLOR: "1" },
    stdio: ["pipe", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  return { type: (keys) => child.stdin.write(keys), shown: () => output, ended: once(child, "close") };
}

describe("without a terminal", () => {
  test("lines are run one after the other; what Asterisk does not know is 1", async () => {
    const good = await run(["pbx1", "-x", "core show version", "--execute", "core show channels count"]);
    expect(good).toMatchObject({ code: 0, stderr: "" });
    expect(good.stdout).toMatch(/^Asterisk 22\.[^\n]*\n0 active channels\n/);
    expect(await run(["pbx1", "-x", "nonsense"])).toMatchObject({ code: 1 });
  });

  test("a shell is never there, whatever the role: 3", async () => {
    expect(await run(["pbx1", "-x", "!id"])).toMatchObject({
      code: 3,
      stdout: "",
      stderr: "refused: This is Asterisk's console and no shell.\n",
    });
  });

  test("a role is judged before anything is sent", async () => {
    const { results } = await asteriskctlJSON<{ results: { outcome: string }[] }>(
      [
        "-f",
        manifests(),
        "console",
        "pbx1",
        "--role",
        "viewer",
        "-x",
        "core show uptime",
        "-x",
        "core restart now",
      ],
      { env: { XDG_STATE_HOME: state } },
    );
    expect(results.map(({ outcome }) => outcome)).toEqual(["Answered", "Refused"]);
  });

  test("CONSOLE_DISABLED and console.disabled switch it off, in the terminal and on the web", async () => {
    for (const args of [
      ["pbx1", "-x", "core show version"],
      ["--web", "--listen", "127.0.0.1:0"],
    ]) {
      const { code, stderr } = await run(args, { CONSOLE_DISABLED: "yes" });
      expect(code).toBe(1);
      expect(stderr).toContain("the console is switched off by CONSOLE_DISABLED");
    }
    const text = await readFile(manifests(), "utf8");
    await writeFile(
      manifests(),
      text.replace("  updateDirection: ToAsterisk\n", "$&  console:\n    disabled: true\n"),
    );
    for (const args of [
      ["pbx1", "-x", "core show version"],
      ["--web", "--listen", "127.0.0.1:0"],
    ]) {
      const { code, stderr } = await run(args);
      expect(code).toBe(1);
      expect(stderr).toContain("its console is switched off");
    }
    await writeFile(manifests(), text);
  });
});

test("in a terminal: completion, history, the live log above the prompt, and farewell", async () => {
  const terminal = inTerminal();
  await until(() => terminal.shown().includes("Connected to Asterisk 22"), 60_000);
  terminal.type("core show upt\t");
  await until(() => /upt.*ime /s.test(terminal.shown()));
  terminal.type("\r");
  await until(() => terminal.shown().includes("System uptime:"));
  terminal.type("half");
  await until(() => terminal.shown().endsWith("half"));
  await lab.servers[0]?.run(["asterisk", "-rx", "dialplan reload"]);
  // The log is above, and what was typed is below again.
  await until(() => /Including switch[^]*half[^\n]*$/.test(terminal.shown()));
  terminal.type("\x03core show channels co\x1b[Dncise\x05");
  terminal.type("\x03!id\r");
  await until(() => terminal.shown().includes("no shell"));
  terminal.type("\x1b[A\x1b[A\r");
  await until(() => terminal.shown().split("System uptime:").length === 3);
  terminal.type("exit\r");
  await terminal.ended;
  const history = join(state, "asterisk-iac", "console-history");
  expect((await stat(history)).mode & 0o777).toBe(0o600);
  expect(await readFile(history, "utf8")).toBe("core show uptime \n!id\ncore show uptime \n");
});

describe("on the web", () => {
  test("a token signs in to what --web serves, over TLS with the fingerprint that it printed", async () => {
    const made = await run(["token", "--role", "viewer", "--name", "alice", "--for", "1m"]);
    expect(made.code).toBe(0);
    expect(made.stdout).toMatch(/^asterisk-console-[\w-]{43}\n$/);
    let child: ChildProcess | undefined;
    let said = "";
    const ended = asteriskctl(["-f", manifests(), "console", "--web", "--listen", "127.0.0.1:0"], {
      env: { XDG_STATE_HOME: state },
      onStart: (started) => {
        child = started;
        started.stderr?.setEncoding("utf8").on("data", (text: string) => (said += text));
      },
    });
    await until(() => said.includes("fingerprint"), 60_000);
    const port = Number(/port (\d+)/.exec(said)?.[1]);
    const fingerprint = /certificate: ([0-9A-F:]+)/.exec(said)?.[1];
    const answer = await new Promise<{ status: number | undefined; fingerprint: string }>(
      (resolve, reject) => {
        const sent = request(
          {
            ...{ host: "127.0.0.1", port, path: "/session", method: "POST", rejectUnauthorized: false },
            headers: { "content-type": "application/json", origin: `https://127.0.0.1:${port}` },
          },
          (response) => {
            const { fingerprint256 } = (response.socket as TLSSocket).getPeerCertificate();
            response
              .resume()
              .on("end", () => resolve({ status: response.statusCode, fingerprint: fingerprint256 }));
          },
        );
        sent.on("error", reject).end(JSON.stringify({ token: made.stdout.trim() }));
      },
    );
    expect(answer).toEqual({ status: 200, fingerprint });
    expect(said).toContain('"event":"sign-in","outcome":"Allowed","remote":"127.0.0.1","who":"alice"');
    child?.kill("SIGTERM");
    expect(await ended).toMatchObject({ code: 0 });
  });

  test.each<[string, Partial<WebOptions>, RegExp]>([
    ["every address, without saying which origin is ours", { listen: "0.0.0.0:0" }, /--url/],
    ["plain HTTP without a proxy", { tls: false }, /--url https/],
    [
      "plain HTTP across a network",
      { tls: false, listen: "192.0.2.1:0", url: "https://x.example" },
      /127\.0\.0\.1/,
    ],
    ["an address that is none", { listen: "48001" }, /HOST:PORT/],
    ["a public address without TLS", { url: "http://x.example" }, /https URL/],
    ["a key without its certificate", { tlsKey: "x" }, /belong together/],
  ])("%s is refused", async (_, options, message) => {
    const context = await contextOf({ filename: [manifests()], output: "text" }, []);
    const given = { listen: "127.0.0.1:0", tls: true, idle: "15m", ...options };
    const shell = { terminal: { stdout: process.stdout, stderr: process.stderr }, exitWith: () => undefined };
    const error = await rejection(serveWebConsole(context, given, false, shell));
    expect(`${error.message} ${error.hint}`).toMatch(message);
  });
});
