import { expect, test } from "@jest/globals";
import { chooseAccountFile } from "../../../core/accounts/file.ts";
import type { AccountFileFacts } from "../../../core/accounts/file.ts";
import { filesOf } from "../../../core/conf/index.ts";

/** A server that has these files, all of which can be written. */
function facts(
  texts: Readonly<Record<string, string>>,
  more: Partial<AccountFileFacts> = {},
): AccountFileFacts {
  const contents = new Map(Object.entries(texts).map(([path, text]) => [path, Buffer.from(text)] as const));
  return {
    username: "crm",
    files: filesOf(contents),
    canWrite: () => true,
    generatedBy: () => undefined,
    ...more,
  };
}

const plain = { "manager.conf": "[general]\nenabled = yes\n" };
const debian = { "manager.conf": '[general]\nenabled = yes\n#include "manager.d/*.conf"\n' };
const freepbx = {
  "manager.conf":
    "[general]\nenabled = yes\n#include manager_additional.conf\n#include manager_custom.conf\n",
  "manager_additional.conf": "",
  "manager_custom.conf": "",
};
const ownedByFreePBX = {
  generatedBy: (path: string) => (/^manager(_additional)?\.conf$/.test(path) ? "FreePBX" : undefined),
};

test("manager_custom.conf where manager.conf includes it, before all others", () => {
  const both = { ...freepbx, "manager.conf": freepbx["manager.conf"] + "#include manager.d/*.conf\n" };
  expect(chooseAccountFile(facts({ ...both, "manager.d/a.conf": "" }, ownedByFreePBX))).toEqual({
    file: "manager_custom.conf",
  });
});

test("manager_custom.conf where the include waits for it, or another file includes it", () => {
  const missing = { ...plain, "manager.conf": "#include manager_custom.conf\n[general]\nenabled = yes\n" };
  expect(chooseAccountFile(facts(missing))).toEqual({ file: "manager_custom.conf" });
  const nested = {
    "manager.conf": "#tryinclude site.conf\n[general]\nenabled = yes\n",
    "site.conf": "#tryinclude manager_custom.conf\n",
  };
  expect(chooseAccountFile(facts(nested))).toEqual({ file: "manager_custom.conf" });
});

test("not manager_custom.conf where the include is a comment", () => {
  const texts = {
    "manager.conf":
      "[general]\nenabled = yes\n;#include manager_custom.conf\n;-- x\n#include manager_custom.conf\n--;\n",
    "manager_custom.conf": "",
  };
  expect(chooseAccountFile(facts(texts))).toEqual({ file: "manager.conf" });
});

test("a file of its own in manager.d, even the first there", () => {
  expect(chooseAccountFile(facts(debian))).toEqual({ file: "manager.d/crm.conf" });
});

test("not in manager.d where it cannot be written, or the pattern would not match", () => {
  const canWrite = (path: string): boolean => !path.startsWith("manager.d/");
  expect(chooseAccountFile(facts(debian, { canWrite }))).toEqual({ file: "manager.conf" });
  const other = { "manager.conf": "[general]\nenabled = yes\n#tryinclude manager.d/*.inc\n" };
  expect(chooseAccountFile(facts(other))).toEqual({ file: "manager.conf" });
});

test("manager.conf where it includes nothing", () => {
  expect(chooseAccountFile(facts(plain))).toEqual({ file: "manager.conf" });
});

test("never manager.conf where a distribution owns it", () => {
  const choice = chooseAccountFile(facts(plain, ownedByFreePBX));
  expect(choice).toEqual({
    problem: "manager.conf belongs to FreePBX, which may write it anew at any time",
    hint: expect.stringContaining("manager_custom.conf"),
  });
  const declared = chooseAccountFile(facts(freepbx, { ...ownedByFreePBX, declared: "manager.conf" }));
  expect(declared).toMatchObject({ problem: expect.stringContaining("belongs to FreePBX") });
});

test("a generated manager_custom.conf is passed over", () => {
  const generatedBy = (path: string) => (path === "manager_custom.conf" ? "a template" : undefined);
  expect(chooseAccountFile(facts(freepbx, { generatedBy }))).toEqual({ file: "manager.conf" });
});

test("the declared file where manager.conf includes it, else the include that is missing", () => {
  const declared = "manager.d/site.conf";
  expect(chooseAccountFile(facts(debian, { declared }))).toEqual({ file: declared });
  expect(chooseAccountFile(facts(freepbx, { declared }))).toEqual({
    problem: "manager.conf does not include manager.d/site.conf, so Asterisk would not see the account",
    hint: expect.stringContaining("#include manager.d/site.conf"),
  });
});

test("the declared file is not made writable by being declared", () => {
  const choice = chooseAccountFile(facts(debian, { declared: "manager.d/site.conf", canWrite: () => false }));
  expect(choice).toMatchObject({ problem: expect.stringContaining("cannot be written") });
});

test("a recorded choice stays when a better one appears", () => {
  expect(chooseAccountFile(facts(freepbx, { recorded: "manager.conf" }))).toEqual({ file: "manager.conf" });
});

test("a recorded choice that manager.conf no longer includes is told", () => {
  const choice = chooseAccountFile(facts(plain, { recorded: "manager_custom.conf" }));
  expect(choice).toMatchObject({ problem: expect.stringContaining("does not include manager_custom.conf") });
});

test("an account does not move silently", () => {
  const choice = chooseAccountFile(
    facts(freepbx, { recorded: "manager_custom.conf", declared: "manager.conf" }),
  );
  expect(choice).toMatchObject({
    problem: "the account is in manager_custom.conf, and `file` says manager.conf",
  });
});
