import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { mkdtemp, readFile, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Role } from "../../core/judge/commands.ts";
import { AsteriskIacError } from "../../core/errors.ts";
import { useLab } from "../support/lab.ts";
import { startTestedConsole, TestedBrowser } from "../support/web-console.ts";
import type { TestedConsole } from "../support/web-console.ts";

const lab = useLab();
let directory = "";
let tested: TestedConsole;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "asterisk-iac-console-"));
  tested = await startTestedConsole(lab, directory);
});
afterAll(async () => {
  await tested.close();
  await rm(directory, { recursive: true, force: true });
});

const signedIn = async (role: Role): Promise<TestedBrowser> => {
  const browser = new TestedBrowser(tested.web);
  await browser.signIn(tested.tokens, role);
  return browser;
};
const lastAudited = async () => (await tested.audited()).at(-1);

describe("before anything is opened", () => {
  test.each<[string, string | undefined]>([
    ["a foreign site", "https://evil.example"],
    ["no origin", undefined],
    ["the origin of a page that was opened from a file", "null"],
    ["another port of this machine", "https://127.0.0.1:1"],
    ["the same host without TLS", "plain"],
    ["a host that begins the same", "longer"],
  ])("a console for %s is refused with 403, and in the audit", async (_, origin) => {
    const browser = await signedIn("admin");
    const own = browser.origin ?? "";
    const ticket = await browser.ticket();
    browser.origin =
      origin === "plain"
        ? own.replace("https", "http")
        : origin === "longer"
          ? `${own}.evil.example`
          : origin;
    expect(await browser.open(ticket)).toBe(403);
    expect(await lastAudited()).toMatchObject({ event: "request", outcome: "Refused" });
    // The ticket was not looked at: it still opens a console for our own page.
    browser.origin = own;
    const console = await browser.open(ticket);
    expect(typeof console).toBe("object");
    if (typeof console === "object") console.socket.terminate();
  });

  test("no ticket, a made-up one and one that was used: 403, though the login is valid", async () => {
    const browser = await signedIn("viewer");
    expect(await browser.open(undefined)).toBe(403);
    expect(await browser.open("A".repeat(43))).toBe(403);
    const ticket = await browser.ticket();
    const first = await browser.open(ticket);
    expect(typeof first).toBe("object");
    expect(await browser.open(ticket)).toBe(403);
    expect(await lastAudited()).toMatchObject({ event: "connect", outcome: "Refused", who: "viewer" });
    if (typeof first === "object") first.socket.terminate();
  });

  test("another session's ticket opens nothing", async () => {
    const [one, other] = [await signedIn("viewer"), await signedIn("admin")];
    expect(await one.open(await other.ticket())).toBe(403);
  });

  test("a ticket without a session opens nothing", async () => {
    const browser = await signedIn("viewer");
    const ticket = await browser.ticket();
    browser.cookie = undefined;
    expect(await browser.open(ticket)).toBe(403);
  });

  test("no ticket for a server that is not offered", async () => {
    const browser = await signedIn("admin");
    expect((await browser.call("POST", "/ticket", { server: "pbx2" })).status).toBe(403);
    expect(await lastAudited()).toMatchObject({ event: "connect", outcome: "Refused", server: "pbx2" });
  });
});

describe("signing in", () => {
  test("a token is stored as a hash alone, in a file that only its owner reads", async () => {
    const { token } = await tested.tokens.create({ who: "carol", role: "viewer", validForMs: 60_000 });
    const files = await readdir(join(directory, "tokens"));
    for (const file of files) {
      const path = join(directory, "tokens", file);
      expect((await stat(path)).mode & 0o777).toBe(0o600);
      expect(await readFile(path, "utf8")).not.toContain(token);
    }
    expect((await stat(join(directory, "tokens"))).mode & 0o777).toBe(0o700);
    expect((await stat(join(directory, "audit.jsonl"))).mode & 0o777).toBe(0o600);
  });

  test("an expired token, and none of ours, is refused", async () => {
    const browser = new TestedBrowser(tested.web);
    const { token } = await tested.tokens.create({ who: "late", role: "admin", validForMs: -1 });
    for (const wrong of [token, "asterisk-console-", "../../etc/passwd", ""])
      expect((await browser.call("POST", "/session", { token: wrong })).status).toBe(401);
    expect(await lastAudited()).toMatchObject({ event: "sign-in", outcome: "Refused" });
  });

  test("a foreign site can't sign anybody in, nor take a ticket in a browser that is signed in", async () => {
    const browser = await signedIn("admin");
    browser.origin = "https://evil.example";
    const { token } = await tested.tokens.create({ who: "victim", role: "viewer", validForMs: 60_000 });
    expect((await browser.call("POST", "/session", { token })).status).toBe(403);
    expect((await browser.call("POST", "/ticket", { server: "pbx1" })).status).toBe(403);
    expect((await browser.call("DELETE", "/session")).status).toBe(403);
    // A form of another site brings no JSON.
    browser.origin = new URL(tested.web.url).origin;
    const asForm = { "content-type": "application/x-www-form-urlencoded" };
    expect((await browser.call("POST", "/ticket", { server: "pbx1" }, asForm)).status).toBe(415);
  });

  test("a token that is taken away ends its consoles", async () => {
    const browser = new TestedBrowser(tested.web);
    await browser.signIn(tested.tokens, "viewer", "dave");
    const console = await browser.console();
    expect(await tested.tokens.revoke("dave")).toBe(1);
    expect(await console.closed).toBe(4001);
    expect((await browser.call("GET", "/session")).status).toBe(401);
  });

  test("after ten failures from one address it has to wait, but for whoever has a token", async () => {
    const other = await startTestedConsole(lab, await mkdtemp(join(directory, "limit-")));
    const browser = new TestedBrowser(other.web);
    const statuses: number[] = [];
    for (let tries = 0; tries < 12; tries++)
      statuses.push((await browser.call("POST", "/session", { token: `wrong ${tries}` })).status);
    expect(statuses).toEqual([...Array<number>(10).fill(401), 429, 429]);
    const { token } = await other.tokens.create({ who: "erin", role: "viewer", validForMs: 60_000 });
    expect((await browser.call("POST", "/session", { token })).status).toBe(200);
    expect((await browser.call("POST", "/session", { token: `${token}x` })).status).toBe(429);
    await other.close();
  });

  test("the cookie is out of reach of scripts, of other sites, and of plain HTTP", async () => {
    const { token } = await tested.tokens.create({ who: "x", role: "viewer", validForMs: 60_000 });
    const { headers } = await new TestedBrowser(tested.web).call("POST", "/session", { token });
    expect(headers["set-cookie"]?.[0]).toMatch(
      /^__Secure-asterisk-console=[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Strict$/,
    );
  });
});

describe("lines that a role may not run", () => {
  const lines: [Role, string][] = [
    ["viewer", "core restart now"],
    ["viewer", "module reload res_pjsip.so"],
    ["viewer", "!id"],
    ["admin", "!id"],
    ["viewer", "dialplan eval function SHELL(id)"],
    ["admin", "dialplan eval function SHELL(id)"],
    ["admin", "channel originate Local/1@default application System id"],
    ["admin", "originate Local/1@default application System id"],
    ["viewer", "core show version\ncore restart now"],
    ["viewer", "core show version\0core restart now"],
    ["viewer", '"core" restart now'],
    ["viewer", "core\trestart\tnow"],
    ["viewer", "\x1b[2Kcore show version"],
  ];
  test.each(lines)("%s: %j is refused, and in the audit", async (role, line) => {
    const browser = await signedIn(role);
    const console = await browser.console();
    expect(await console.line(line)).toMatchObject({ type: "result", outcome: "Refused" });
    expect(await lastAudited()).toMatchObject({
      event: "command",
      outcome: "Refused",
      who: role,
      role,
      server: "pbx1",
      line,
    });
    console.socket.terminate();
  });

  test("what runs is in the audit before and after, without the value of what may be a secret", async () => {
    const browser = await signedIn("admin");
    const console = await browser.console();
    expect(await console.line("DATABASE put  test key hunter22")).toMatchObject({ outcome: "Answered" });
    expect((await tested.audited()).slice(-2)).toMatchObject([
      {
        event: "command",
        outcome: "Sent",
        line: "database put test key ********",
        who: "admin",
        server: "pbx1",
      },
      { event: "command", outcome: "Answered", line: "database put test key ********" },
    ]);
    expect(await console.line("database put test key")).toMatchObject({ outcome: "Refused" });
    expect(await console.line('database put test key "hunter23"')).toMatchObject({ outcome: "Refused" });
    expect(JSON.stringify(await tested.audited())).not.toMatch(/hunter/);
    console.socket.terminate();
  });

  test("messages that the page would not send end the connection", async () => {
    const browser = await signedIn("admin");
    for (const message of ["{", '{"type":"shell","line":"id"}', Buffer.from("core show version")]) {
      const console = await browser.console();
      console.socket.send(message);
      expect(await console.closed).toBe(4003);
    }
    const console = await browser.console();
    console.socket.send("x".repeat(5000));
    expect(await console.closed).toBe(1009);
  });
});

test("while the audit can't be written no line runs, and the console stays up", async () => {
  let isFull = false;
  const audit = {
    write: () => {
      if (isFull) throw new AsteriskIacError("WriteFailed", "the disk is full");
    },
  };
  const other = await startTestedConsole(lab, await mkdtemp(join(directory, "full-")), { audit });
  const browser = new TestedBrowser(other.web);
  await browser.signIn(other.tokens, "admin");
  const console = await browser.console();
  expect(await console.line("database put full key 1")).toMatchObject({ outcome: "Answered" });
  isFull = true;
  const failed = { outcome: "Failed", text: "the disk is full" };
  expect(await console.line("database put full key 2")).toMatchObject(failed);
  expect(await console.line("!id")).toMatchObject(failed);
  console.socket.send("{");
  expect(await console.closed).toBe(4003);
  isFull = false;
  const again = await browser.console();
  expect(await again.line("database get full key")).toMatchObject({ text: "Value: 1\n" });
  await other.close();
});

test("a console at which nothing is typed is closed, and its person signed out", async () => {
  const other = await startTestedConsole(lab, await mkdtemp(join(directory, "idle-")), { idleMs: 1_000 });
  const browser = new TestedBrowser(other.web);
  await browser.signIn(other.tokens, "viewer");
  const console = await browser.console();
  expect(await console.closed).toBe(4002);
  expect((await browser.call("GET", "/session")).status).toBe(401);
  await other.close();
});

test("nothing but the page's own files is served, with headers that keep other sites and their scripts out", async () => {
  const browser = new TestedBrowser(tested.web);
  const page = await browser.call("GET", "/");
  expect(page.text).not.toMatch(/(?:src|href)="(?:https?:)?\/\//);
  const policy = String(page.headers["content-security-policy"]);
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("frame-ancestors 'none'");
  expect(policy).not.toContain("unsafe");
  expect(page.headers).toMatchObject({
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
  });
  for (const path of [
    "/../package.json",
    "/page/page.js",
    "/line-editor.ts",
    "/%2e%2e/README.md",
    "/session/",
  ])
    expect((await browser.call("GET", path)).status).toBe(404);
  for (const path of [
    "/page.js",
    "/line-editor.js",
    "/xterm.mjs",
    "/xterm.css",
    "/addon-fit.mjs",
    "/page.css",
  ])
    expect((await browser.call("GET", path)).status).toBe(200);
});

test("behind a proxy: the declared origin alone counts, with the prefix or without it", async () => {
  const url = new URL("https://pbx.example/ops/console/");
  const other = await startTestedConsole(lab, await mkdtemp(join(directory, "proxy-")), { url });
  const browser = new TestedBrowser(other.web);
  expect(other.web.url).toBe(url.href);
  expect(browser.origin).toBe("https://pbx.example");
  const { token } = await other.tokens.create({ who: "x", role: "viewer", validForMs: 60_000 });
  const answer = await browser.call("POST", "/ops/console/session", { token });
  expect(answer.headers["set-cookie"]?.[0]).toContain("Path=/ops/console/;");
  expect(answer.headers["strict-transport-security"]).toBe("max-age=31536000");
  expect((await browser.call("GET", "/ops/console/page.js")).status).toBe(200);
  browser.origin = `https://127.0.0.1:${other.web.port}`;
  expect((await browser.call("POST", "/session", { token })).status).toBe(403);
  await other.close();
});
