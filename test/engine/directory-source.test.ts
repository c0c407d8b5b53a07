import { describe, expect, test } from "@jest/globals";
import { mkdirSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { contentHash } from "../../core/record.ts";
import { DirectorySource } from "../../engine/directory-source.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const visible = (directory: string): string[] =>
  readdirSync(directory).filter((name) => name !== ".asterisk-iac");
const bytes = (text: string): Buffer => Buffer.from(text, "latin1");

describe("listing", () => {
  test("a directory that is not there yet is an empty source", async () => {
    expect(await new DirectorySource(join(temporaryDirectory(), "later")).list()).toEqual(new Map());
  });

  test("files below are hashed, names that begin with a dot are left out, links are named and not followed", async () => {
    const directory = temporaryDirectory();
    mkdirSync(join(directory, "manager.d"));
    mkdirSync(join(directory, ".git"));
    writeFileSync(join(directory, ".git", "config"), "x");
    writeFileSync(join(directory, "sip.conf"), bytes("\xff"));
    writeFileSync(join(directory, "manager.d", "crm.conf"), "");
    symlinkSync("/etc/passwd", join(directory, "passwd.conf"));
    expect(await new DirectorySource(directory).list()).toEqual(
      new Map<string, object>([
        ["sip.conf", { hash: contentHash(bytes("\xff")), size: 1 }],
        ["manager.d/crm.conf", { hash: contentHash(bytes("")), size: 0 }],
        ["passwd.conf", { problem: "is a symbolic link" }],
      ]),
    );
  });
});

describe("creating", () => {
  test("a file and the directories above it, readable by the owner only", async () => {
    const directory = join(temporaryDirectory(), "source");
    const source = new DirectorySource(directory);
    expect(await source.write("manager.d/crm.conf", bytes("[crm]\r\n\xe4"), null, "run")).toBe(true);
    expect(readFileSync(join(directory, "manager.d/crm.conf"), "latin1")).toBe("[crm]\r\n\xe4");
    expect(statSync(join(directory, "manager.d/crm.conf")).mode & 0o777).toBe(0o600);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(readdirSync(join(directory, "manager.d"))).toEqual(["crm.conf"]);
  });

  test("never overwrites what is there", async () => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, "sip.conf"), "mine");
    expect(await new DirectorySource(directory).write("sip.conf", bytes("theirs"), null, "run")).toBe(false);
    expect(readFileSync(join(directory, "sip.conf"), "utf8")).toBe("mine");
    expect(visible(directory)).toEqual(["sip.conf"]);
  });

  test.each([
    "../escaped.conf",
    "/etc/escaped.conf",
    "a/../../escaped.conf",
    "",
    "a//b",
    "a\0b",
    "./a",
    ".git/hooks/post-checkout",
    ".asterisk-iac/import.json",
    "a/.b/c",
  ])("refuses the path %j", async (path) => {
    await expect(
      new DirectorySource(temporaryDirectory()).write(path, bytes("x"), null, "run"),
    ).rejects.toMatchObject({
      code: "PathRefused",
    });
  });

  test("a name that begins with a dash is just a name", async () => {
    const directory = temporaryDirectory();
    expect(await new DirectorySource(directory).write("-rf", bytes("x"), null, "run")).toBe(true);
    expect(visible(directory)).toEqual(["-rf"]);
  });

  test("never goes through a linked directory", async () => {
    const elsewhere = temporaryDirectory();
    const directory = temporaryDirectory();
    symlinkSync(elsewhere, join(directory, "manager.d"));
    await expect(
      new DirectorySource(directory).write("manager.d/crm.conf", bytes("x"), null, "run"),
    ).rejects.toMatchObject({ code: "PathRefused" });
    expect(readdirSync(elsewhere)).toEqual([]);
  });

  test("never reads through a link", async () => {
    const directory = temporaryDirectory();
    symlinkSync("/etc/passwd", join(directory, "passwd.conf"));
    await expect(new DirectorySource(directory).read("passwd.conf")).rejects.toThrow(/ELOOP/);
  });
});

describe("one writer at a time", () => {
  test("a second one waits for the first", async () => {
    const source = new DirectorySource(temporaryDirectory());
    const order: string[] = [];
    await Promise.all(
      ["a", "b"].map((name) =>
        source.exclusively(async () => {
          order.push(`${name} in`);
          await source.write(`${name}.conf`, bytes(name), null, "run");
          order.push(`${name} out`);
        }),
      ),
    );
    expect(order.map((step) => step.slice(2))).toEqual(["in", "out", "in", "out"]);
  });

  test("what a killed run had not put into its place yet is cleared away", async () => {
    const directory = temporaryDirectory();
    mkdirSync(join(directory, ".asterisk-iac/temporary"), { recursive: true });
    writeFileSync(join(directory, ".asterisk-iac/temporary/0123456789abcdef"), "half");
    await new DirectorySource(directory).exclusively(() => Promise.resolve());
    expect(readdirSync(join(directory, ".asterisk-iac"))).toEqual([]);
  });

  test("the directory becomes readable by its owner only", async () => {
    const directory = temporaryDirectory();
    await new DirectorySource(directory).exclusively(() => Promise.resolve());
    expect(statSync(directory).mode & 0o777).toBe(0o700);
  });
});
