import { describe, expect, test } from "@jest/globals";
import { parseTarget } from "../../cli/bootstrap-machine.ts";
import { addDocument, addRule, formatResource } from "../../cli/manifest-writer.ts";

const server = (spec: string): string =>
  `# pbx\nkind: AsteriskServer\nmetadata: {name: pbx}\nspec:\n${spec}---\nkind: Other\n`;
const rule = '{files: "manager.conf", updateDirection: ToAsterisk}';

describe("a rule goes in front of the others", () => {
  test.each([
    [
      "no rules, beside the direction",
      "  ami: {}\n  updateDirection: FromAsterisk\n",
      `  ami: {}\n  rules:\n    - ${rule}\n  updateDirection: FromAsterisk\n`,
    ],
    ["neither rules nor a direction", "  ami: {}\n", `  rules:\n    - ${rule}\n  ami: {}\n`],
    [
      "a list of lines",
      "  rules: # ours\n  - files: a\n    unmanaged: true\n",
      `  rules: # ours\n  - ${rule}\n  - files: a\n    unmanaged: true\n`,
    ],
    [
      "a list on one line",
      "  rules: [ {files: a, unmanaged: true} ]\n",
      `  rules: [${rule},  {files: a, unmanaged: true} ]\n`,
    ],
    ["an empty list", "  rules: []\n", `  rules: [${rule}]\n`],
  ])("%s", (_, before, after) => {
    expect(addRule(server(before), "pbx", "manager.conf").text).toBe(server(after));
  });

  test("a spec on one line takes it too, and Windows' line ends stay", () => {
    const flow = "kind: AsteriskServer\nmetadata: {name: pbx}\nspec: {ami: {}}\n";
    expect(addRule(flow, "pbx", "manager.conf").text).toBe(
      `kind: AsteriskServer\nmetadata: {name: pbx}\nspec: {rules: [${rule}], ami: {}}\n`,
    );
    const windows = server("  ami: {}\n").replaceAll("\n", "\r\n");
    expect(addRule(windows, "pbx", "manager.conf").text).toBe(
      server(`  rules:\n    - ${rule}\n  ami: {}\n`).replaceAll("\n", "\r\n"),
    );
  });

  test.each([
    ["rules that are an alias", "  x: &x [{files: a, unmanaged: true}]\n  rules: *x\n"],
    ["rules that are no list", "  rules: later\n"],
  ])("%s are left to the user, who is told the rule", (_, spec) => {
    expect(() => addRule(server(spec), "pbx", "manager.conf")).toThrow(/can't be added to/);
  });
});

test("a document is put behind whatever the file ends with", () => {
  expect(addDocument("a: 1", { b: [1, 2] }).text).toBe("a: 1\n---\nb: [1, 2]\n");
  expect(addDocument("a: |+\n  x\n\n", { b: 1 }).text).toBe("a: |+\n  x\n\n---\nb: 1\n");
  expect(formatResource({ a: [{ b: 1, c: "x" }] })).toBe("a:\n  - {b: 1, c: x}\n");
});

describe("USER@HOST", () => {
  test.each([
    ["admin@pbx.example.com", { user: "admin", host: "pbx.example.com", port: 22 }],
    ["admin@192.0.2.1:2222", { user: "admin", host: "192.0.2.1", port: 2222 }],
    ["root@[2001:db8::1]:2222", { user: "root", host: "2001:db8::1", port: 2222 }],
  ])("%s", (target, machine) => {
    expect(parseTarget(target)).toEqual(machine);
  });

  test.each([
    "@host",
    "a b@host",
    "admin@",
    "admin@-oProxyCommand=x",
    "admin@host:0",
    "admin@host:99999",
    "admin@ho st",
  ])("%j is refused", (target) => {
    expect(() => parseTarget(target)).toThrow(/is not USER@HOST/);
  });
});
