import { createHash, randomBytes } from "node:crypto";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { MAX_FILE_BYTES, observeFiles, readFiles } from "../../asterisk/files.ts";
import type { Listing } from "../../asterisk/files.ts";
import type { Host, ScriptOptions, ScriptResult } from "../../asterisk/host.ts";
import { openLocal } from "../../asterisk/local.ts";
import { openSSH } from "../../asterisk/ssh/ssh-host.ts";
import type { ObservedFile } from "../../core/observed.ts";
import { labLogin, onlyServer, rejection } from "../support/host-sshd.ts";
import { useLab } from "../support/lab.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const lab = useLab();
const local = openLocal({ label: "here" });
afterAll(() => local.close());

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
const entry = (listing: Listing, path: string): ObservedFile | undefined =>
  listing.files.find((file) => file.path === path);
const readableOf = (listing: Listing): string[] =>
  listing.files.filter((file) => file.hash !== undefined).map((file) => file.path);

/** A host that lets a test see or change what a script is and what it answers. */
function intercepted(
  host: Host,
  run: (script: string, options?: ScriptOptions) => Promise<ScriptResult>,
): Host {
  return {
    run,
    connectTCP: (name, port) => host.connectTCP(name, port),
    close: () => host.close(),
    roundTrips: 0,
  };
}

describe.each(["as the files' owner", "through sudo"])("a lab server, %s", (way) => {
  let host: Host;
  beforeAll(async () => {
    const server = onlyServer(lab);
    host = await openSSH(
      way === "through sudo"
        ? { ...(await labLogin(server, "admin")), become: "asterisk" }
        : await labLogin(server, "asterisk"),
    );
  });
  afterAll(() => host.close());

  test("everything in /etc/asterisk is listed and read, byte for byte, in one round trip each", async () => {
    const directory = onlyServer(lab).configDirectory;
    const before = host.roundTrips;
    const listing = await observeFiles(host, { configDirectory: "/etc/asterisk" });
    const contents = await readFiles(host, listing, readableOf(listing));
    expect(host.roundTrips - before).toBe(2);
    const expected = (readdirSync(directory, { recursive: true }) as string[]).sort();
    expect(listing.files.map((file) => file.path)).toEqual(expected);
    expect(contents.size).toBeGreaterThanOrEqual(100);
    for (const [path, bytes] of contents) {
      expect([path, bytes.equals(readFileSync(join(directory, path)))]).toEqual([path, true]);
      expect(entry(listing, path)).toMatchObject({ kind: "file", size: bytes.length, hash: sha256(bytes) });
    }
    expect(listing).toMatchObject({ realPath: "/etc/asterisk", isLink: false });
    expect(listing.distribution.name).toBeUndefined();
    expect(entry(listing, "manager.d")).toMatchObject({
      kind: "directory",
      owner: "root:root",
      mode: "0755",
    });
  });

  test("row 5: what the user can't read is named with the reason, and not taken for empty or gone", async () => {
    const script = `
      mkdir -p /etc/asterisk/closed && echo x >/etc/asterisk/closed/in.conf && chmod 700 /etc/asterisk/closed
      echo x >/etc/asterisk/closed.conf && chown root:root /etc/asterisk/closed /etc/asterisk/closed.conf
      chmod 600 /etc/asterisk/closed.conf`;
    await onlyServer(lab).run(["sh", "-c", script]);
    const listing = await observeFiles(host, { configDirectory: "/etc/asterisk" });
    expect(entry(listing, "closed")).toMatchObject({
      kind: "directory",
      problem: expect.stringMatching(/permission/),
    });
    expect(entry(listing, "closed.conf")).toMatchObject({ problem: expect.stringMatching(/permission/) });
    expect(entry(listing, "closed/in.conf")).toBeUndefined();
    expect(await rejection(readFiles(host, listing, ["closed.conf"]))).toMatchObject({ code: "PathRefused" });
    const denied = await rejection(observeFiles(host, { configDirectory: "/etc/asterisk/closed" }));
    expect(denied).toMatchObject({ code: "PermissionDenied" });
    await onlyServer(lab).run(["rm", "-r", "/etc/asterisk/closed", "/etc/asterisk/closed.conf"]);
  });

  test("row 43: 100 MB of anything are read byte for byte", async () => {
    const file = join(onlyServer(lab).configDirectory, "large.bin");
    const bytes = randomBytes(100_000_000);
    writeFileSync(file, bytes, { mode: 0o644 });
    const listing = await observeFiles(host, { configDirectory: "/etc/asterisk" });
    const contents = await readFiles(host, listing, ["manager.conf", "large.bin", "asterisk.conf"]);
    expect(contents.get("large.bin")?.equals(bytes)).toBe(true);
    expect(contents.size).toBe(3);
    rmSync(file);
  });
});

describe("a server laid out as FreePBX does", () => {
  const freepbx = useLab({ freepbx: true });

  test("linked files are read through their links, and who generates what is told", async () => {
    const server = onlyServer(freepbx);
    const host = await openSSH(await labLogin(server, "asterisk"));
    const listing = await observeFiles(host, { configDirectory: "/etc/asterisk" });
    const contents = await readFiles(host, listing, readableOf(listing));
    await host.close();
    expect(contents.size).toBe(readableOf(listing).length);
    const http = contents.get("http.conf")?.toString() ?? "";
    expect(entry(listing, "http.conf")).toMatchObject({ kind: "link", size: http.length });
    expect(http).toContain("#include http_additional.conf");
    const { name, generatedBy } = listing.distribution;
    expect(name).toBe("FreePBX");
    for (const path of [
      "http.conf",
      "extensions_additional.conf",
      "pjsip.conf",
      "manager.conf",
      "keys/default.key",
    ])
      expect([path, generatedBy(path)?.by]).toEqual([path, "FreePBX"]);
    for (const path of [
      "extensions_custom.conf",
      "manager_custom.conf",
      "pjsip.endpoint_custom_post.conf",
      "acl.conf",
    ])
      expect([path, generatedBy(path)]).toEqual([path, undefined]);
  });
});

/** Files of every awkward kind; where the machine's own tools or busybox's list them, the same must come out. */
function makeAwkward(directory: string): void {
  const write = (name: string | Buffer, content: string | Buffer): void => {
    writeFileSync(
      typeof name === "string" ? join(directory, name) : Buffer.concat([Buffer.from(`${directory}/`), name]),
      content,
    );
  };
  mkdirSync(join(directory, "manager.d/deep"), { recursive: true });
  write("manager.d/deep/crm.conf", "[crm]\r\nsecret = x\r\n");
  write("-rf", "[x]");
  write("sp ace;$(id)`id`'\".conf", "a = b\n");
  write("back\\slash\\n.conf", "c = d");
  write("größe.conf", Buffer.from("f\xfcr = x\n", "latin1"));
  write("line\nbreak.conf", "e");
  write(Buffer.from("caf\xe9.conf", "latin1"), "f");
  write("empty.conf", "");
  write("nul.bin", Buffer.from("\0\n\0\xff\xfe", "latin1"));
  write("no-newline.conf", "last line");
  mkdirSync(join(directory, "../modules/core/etc"), { recursive: true });
  writeFileSync(join(directory, "../modules/core/etc/http.conf"), "[general]\nenabled = yes\n");
  symlinkSync(join(directory, "../modules/core/etc/http.conf"), join(directory, "http.conf"));
  symlinkSync("../modules", join(directory, "linked-directory"));
  symlinkSync("/nonexistent/file", join(directory, "broken.conf"));
  execFileSync("mkfifo", [join(directory, "fifo")]);
  chmodSync(join(directory, "empty.conf"), 0o600);
}

describe.each(["GNU find", "a find without -printf"])("awkward files, with %s", (tools) => {
  let host: Host;
  let directory: string;
  beforeEach(() => {
    const base = temporaryDirectory();
    directory = join(base, "asterisk");
    mkdirSync(directory);
    makeAwkward(directory);
    // Like busybox's: it knows no -printf.
    const find = '#!/bin/sh\ncase " $* " in *" -printf "*) exit 1;; esac\nexec /usr/bin/find "$@"\n';
    mkdirSync(join(base, "bin"));
    writeFileSync(join(base, "bin/find"), find, { mode: 0o755 });
    const path = tools === "GNU find" ? "" : `PATH=${base}/bin:$PATH\n`;
    host = intercepted(local, (script, options) => local.run(path + script, options));
  });

  test("each is listed as what it is", async () => {
    const listing = await observeFiles(host, { configDirectory: directory });
    expect(listing.files.map(({ path, kind, problem }) => [path, kind, problem])).toEqual([
      ["-rf", "file", undefined],
      ["back\\slash\\n.conf", "file", undefined],
      ["broken.conf", "link", "its target does not exist"],
      ["caf\udce9.conf", "file", "its name is not UTF-8 (caf\\xe9.conf)"],
      ["empty.conf", "file", undefined],
      ["fifo", "other", "it is neither a file nor a directory"],
      ["größe.conf", "file", undefined],
      ["http.conf", "link", undefined],
      ["line\nbreak.conf", "file", "its name holds a line break"],
      ["linked-directory", "link", "it leads to a directory; linked directories are not followed"],
      ["manager.d", "directory", undefined],
      ["manager.d/deep", "directory", undefined],
      ["manager.d/deep/crm.conf", "file", undefined],
      ["no-newline.conf", "file", undefined],
      ["nul.bin", "file", undefined],
      ["sp ace;$(id)`id`'\".conf", "file", undefined],
    ]);
    expect(entry(listing, "empty.conf")).toMatchObject({ mode: "0600", size: 0 });
    expect(entry(listing, "http.conf")).toMatchObject({
      linkTarget: join(directory, "../modules/core/etc/http.conf"),
      size: 24,
    });
    expect(listing.distribution.generatedBy("http.conf")).toMatchObject({ by: "FreePBX" });
  });

  test("row 43: contents come back byte for byte", async () => {
    const listing = await observeFiles(host, { configDirectory: directory });
    const contents = await readFiles(host, listing, readableOf(listing));
    expect(contents.size).toBe(9);
    for (const [path, bytes] of contents) {
      expect(bytes).toEqual(readFileSync(join(directory, path)));
      expect(entry(listing, path)?.hash).toBe(sha256(bytes));
    }
  });

  test("a configuration directory that is a link is followed, and said to be one", async () => {
    const link = join(directory, "../link");
    symlinkSync(directory, link);
    const listing = await observeFiles(host, { configDirectory: link });
    expect(listing).toMatchObject({ isLink: true, realPath: directory });
    expect(listing.files).toHaveLength(16);
    expect(listing.machineId).toMatch(/^[0-9a-f]{32}$|^$/);
  });

  test("markers in the first KB, and FreePBX's includes, are seen", async () => {
    const marker = ";\n; Do NOT edit this file as it is auto-generated by FreePBX.\n";
    writeFileSync(join(directory, "sip_additional.conf"), marker);
    writeFileSync(join(directory, "late_additional.conf"), `${";".repeat(2_000)}\n${marker}`);
    writeFileSync(
      join(directory, "manager.conf"),
      "#include manager_additional.conf\n#include manager_custom.conf\n",
    );
    const { distribution } = await observeFiles(host, { configDirectory: directory });
    expect(distribution.name).toBe("FreePBX");
    expect(distribution.generatedBy("sip_additional.conf")?.why).toContain("auto-generated");
    expect(distribution.generatedBy("late_additional.conf")?.why).toContain("name");
  });
});

describe("row 5: what is no whole listing is an error", () => {
  test("an empty directory", async () => {
    const error = await rejection(observeFiles(local, { configDirectory: temporaryDirectory() }));
    expect(error).toMatchObject({ code: "ListingEmpty" });
  });

  test("a directory that is not there, or is a file", async () => {
    const directory = temporaryDirectory();
    const missing = await rejection(observeFiles(local, { configDirectory: join(directory, "none") }));
    expect(missing).toMatchObject({ code: "PathRefused", hint: expect.stringContaining("configDirectory") });
    writeFileSync(join(directory, "file"), "");
    expect(
      (await rejection(observeFiles(local, { configDirectory: join(directory, "file") }))).message,
    ).toContain("is not a directory");
  });

  test("an answer without its end, three times in a row", async () => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, "a.conf"), "x");
    let tries = 0;
    const cutting = intercepted(local, async (script, options) => {
      tries += 1;
      const answer = await local.run(script, options);
      return { ...answer, stdout: answer.stdout.subarray(0, answer.stdout.lastIndexOf("end\0")) };
    });
    const error = await rejection(observeFiles(cutting, { configDirectory: directory }));
    expect(error).toMatchObject({ code: "ListingIncomplete", next: "Retry" });
    expect(tries).toBe(3);
  });

  test("a find that is killed half way", async () => {
    const directory = temporaryDirectory();
    for (const name of ["a", "b", "c"]) writeFileSync(join(directory, name), "x");
    const find = `find() { case "$*" in *entry*) /usr/bin/find "$@" | head -c 60; return 137;; *) /usr/bin/find "$@";; esac; }\n`;
    const broken = intercepted(local, (script, options) => local.run(find + script, options));
    expect(await rejection(observeFiles(broken, { configDirectory: directory }))).toMatchObject({
      code: "ListingIncomplete",
    });
  });
});

describe("files that change while they are read", () => {
  let directory: string;
  let listing: Listing;
  beforeEach(async () => {
    directory = temporaryDirectory();
    for (const name of ["a.conf", "b.conf", "c.conf"]) writeFileSync(join(directory, name), `[${name}]\n`);
    listing = await observeFiles(local, { configDirectory: directory });
  });
  const paths = ["a.conf", "b.conf", "c.conf"];

  test("one that only grew gives the bytes that were listed, and so do those after it", async () => {
    appendFileSync(join(directory, "a.conf"), "more = yes\n");
    const contents = await readFiles(local, listing, paths);
    expect(paths.map((path) => contents.get(path)?.toString())).toEqual([
      "[a.conf]\n",
      "[b.conf]\n",
      "[c.conf]\n",
    ]);
  });

  test("one that was rewritten is an error that names it, and only it", async () => {
    writeFileSync(join(directory, "a.conf"), "more = yes\n");
    const error = await rejection(readFiles(local, listing, paths));
    expect(error).toMatchObject({ code: "ListingIncomplete", next: "Retry" });
    expect(error.message).toMatch(/being read: a\.conf\.$/);
  });

  test("one whose bytes changed under the same size is noticed by its hash", async () => {
    writeFileSync(join(directory, "b.conf"), "[B.conf]\n");
    expect((await rejection(readFiles(local, listing, paths))).message).toMatch(/being read: b\.conf\.$/);
  });

  test("where the caller takes changes, the new bytes come with their new entry", async () => {
    writeFileSync(join(directory, "a.conf"), "more = yes\n");
    const changes: ObservedFile[] = [];
    const contents = await readFiles(local, listing, paths, { onChanged: (file) => changes.push(file) });
    expect(contents.get("a.conf")?.toString()).toBe("more = yes\n");
    expect(contents.get("c.conf")?.toString()).toBe("[c.conf]\n");
    expect(changes.map(({ path, hash }) => [path, hash])).toEqual([
      ["a.conf", sha256(Buffer.from("more = yes\n"))],
    ]);
  });

  test("one that never rests is an error even then", async () => {
    const restless = intercepted(local, async (script, options) => {
      writeFileSync(join(directory, "a.conf"), randomBytes(10).toString("hex"));
      return local.run(script, options);
    });
    const error = await rejection(readFiles(restless, listing, paths, { onChanged: () => undefined }));
    expect(error).toMatchObject({ code: "ListingIncomplete" });
  });

  test("one that is gone", async () => {
    rmSync(join(directory, "a.conf"));
    const error = await rejection(readFiles(local, listing, paths));
    expect(error).toMatchObject({ code: "ListingIncomplete" });
    expect(error.message).toContain("a.conf");
  });
});

describe("what is not read", () => {
  test("row 16: only paths of the listing are read, whatever is asked for", async () => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, "a.conf"), "x");
    mkdirSync(join(directory, "sub"));
    const listing = await observeFiles(local, { configDirectory: directory });
    const before = local.roundTrips;
    for (const path of [
      "../../etc/passwd",
      "/etc/passwd",
      "",
      ".",
      "a.conf/",
      "./a.conf",
      "sub/../a.conf",
      "a.conf\0b",
    ])
      expect(await rejection(readFiles(local, listing, [path]))).toMatchObject({ code: "ListingIncomplete" });
    expect(await rejection(readFiles(local, listing, ["sub"]))).toMatchObject({ code: "PathRefused" });
    expect(await readFiles(local, listing, [])).toEqual(new Map());
    expect(local.roundTrips).toBe(before);
  });

  test("a file over the limit is named in the listing, and refused", async () => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, "small.conf"), "x");
    execFileSync("truncate", ["-s", String(MAX_FILE_BYTES + 1), join(directory, "huge.conf")]);
    const listing = await observeFiles(local, { configDirectory: directory });
    expect(entry(listing, "huge.conf")?.problem).toContain("more than the limit");
    expect(await rejection(readFiles(local, listing, ["huge.conf"]))).toMatchObject({ code: "FileTooLarge" });
  });
});
