import { describe, expect, test } from "@jest/globals";
import { checkConfiguration } from "../../core/check-configuration.ts";
import { effectiveView, filesOf } from "../../core/conf/index.ts";
import { lintDirectory } from "../../core/conf/lint.ts";

/** Checks the change from some files to others. */
function check(before: Record<string, string>, after: Record<string, string>) {
  const [old, now] = [before, after].map(
    (files) => new Map(Object.entries(files).map(([path, text]) => [path, Buffer.from(text)])),
  ) as [Map<string, Buffer>, Map<string, Buffer>];
  const sections = (files: Map<string, Buffer>) => effectiveView("manager.conf", filesOf(files)).sections;
  return checkConfiguration({
    before: lintDirectory(old.keys(), filesOf(old)),
    after: lintDirectory(now.keys(), filesOf(now)),
    views: new Map([["manager.conf", { before: sections(old), after: sections(now) }]]),
  });
}

const dialplan = "[a]\nexten => 1,1,NoOp()\n";
const manager = "[general]\nenabled = yes\nbindaddr = 127.0.0.1\n";

describe("what refuses an apply", () => {
  test("nothing, where nothing is wrong", () => {
    expect(
      check({ "extensions.conf": dialplan }, { "extensions.conf": `${dialplan}exten => 2,1,NoOp()\n` }),
    ).toEqual([]);
  });

  test("row 6: a dialplan that does not parse", () => {
    expect(check({ "extensions.conf": dialplan }, { "extensions.conf": `${dialplan}[broken\n` })).toEqual([
      { file: "extensions.conf", line: 3, message: expect.any(String) as unknown },
    ]);
  });

  test("an error that a removed file brings about in one that stays as it is", () => {
    const root = { "extensions.conf": `#include "more.conf"\n${dialplan}` };
    expect(check({ ...root, "more.conf": dialplan }, root)).toEqual([
      { file: "extensions.conf", line: 1, message: expect.stringContaining("more.conf") as unknown },
    ]);
  });

  test("an old error in the file itself is no reason not to change the rest of it", () => {
    const weak = `${manager}[crm]\nsecret = crm\npermit = 127.0.0.1\n`;
    expect(check({ "manager.conf": weak }, { "manager.conf": `${weak}read = call\n` })).toEqual([]);
  });

  test("an old error in another file is not this apply's", () => {
    const broken = { "queues.conf": "[broken\n" };
    expect(check({ ...broken, "extensions.conf": "" }, { ...broken, "extensions.conf": dialplan })).toEqual(
      [],
    );
  });

  test("an AMI that would be shut down", () => {
    const refusals = check({ "manager.conf": manager }, { "manager.conf": manager.replace("yes", "no") });
    expect(refusals).toEqual([
      { file: "manager.conf", line: 0, message: expect.stringContaining("would disable AMI") as unknown },
    ]);
    expect(check({ "manager.conf": manager }, { "manager.conf": `${manager}webenabled = no\n` })).toEqual([]);
  });
});
