import { expect, test } from "@jest/globals";
import { brief, check, diagnose, mended, only } from "./lint-helpers.ts";

const file = "extensions.conf";
const plan = (...lines: string[]) => ["[a]", ...lines, ""].join("\n");

test.each([
  ["same before any exten", ["same => n,NoOp()"], "2:9-17"],
  ["n on the first line", ["exten => 1,n,NoOp()"], "2:10-20"],
  ["no priority", ["exten => 1"], "2:10-11"],
  ["an empty priority", ["exten => 1,,NoOp()"], "2:10-19"],
  ["priority 0", ["exten => 1,0,NoOp()"], "2:10-20"],
  ["a word that is no label", ["exten => 1,once,NoOp()"], "2:10-23"],
  ["a label that is never closed", ["exten => 1,1(x,NoOp()"], "2:10-22"],
  ["no extension", ["exten => ,1,NoOp()"], "2:10-19"],
])("%s: the line is skipped", (_, lines, place) => {
  expect(check(file, plan(...lines))).toEqual([`${place} error exten-skipped`]);
});

test("n behind a hint gets priority 0 and is dropped without a word", () => {
  const text = plan("exten => 1,1,NoOp()", "exten => 1,hint,SIP/a", "same => n,Hangup()");
  expect(check(file, text)).toEqual(["4:9-19 error exten-skipped"]);
  expect(check(file, plan("exten => 1,hint,SIP/a", "exten => 1,1,NoOp()", "same => n,Hangup()"))).toEqual([]);
});

test("anything that begins with same counts as same", () => {
  const text = plan("exten => 1,1,NoOp()", "samething => n,NoOp()");
  expect(check(file, text)).toEqual(["3:1-10 warning same-prefix"]);
  expect(mended(file, text)).toContain("\nsame => n,NoOp()");
});

test("the last priority is carried over between extensions, but not between sections", () => {
  const text = plan("exten => 1,1,NoOp()", "exten => 2,n,NoOp()", "[b]", "exten => 1,n,NoOp()");
  expect(check(file, text)).toEqual(["3:10-20 warning priority-carried-over", "5:10-20 error exten-skipped"]);
  expect(diagnose({ [file]: text }, file)[0]?.message).toContain('from extension "1": this line gets 2');
});

test("a priority that is taken, with dashes in the number or from a section of the same name", () => {
  const text = plan(
    "exten => 12,1,NoOp()",
    "exten => 1-2,1,NoOp()",
    "[a]",
    "exten => 12,1,NoOp()",
    "[b]",
    "exten => 12,1,NoOp()",
  );
  expect(check(file, text)).toEqual(["3:10-22 warning priority-taken", "5:10-21 warning priority-taken"]);
  expect(check(file, plan("exten => _1[2-3],1,NoOp()", "exten => _1[23],1,NoOp()"))).toEqual([]);
  expect(check(file, plan("exten => ${X},1,NoOp()", "exten => ${X},1,NoOp()"))).toEqual([]);
});

test("parentheses and applications that are missing", () => {
  expect(check(file, plan("exten => 1,1,Dial(SIP/a", "same => n", "same => n,"))).toEqual([
    "2:10-24 warning parenthesis-open",
    "3:9-10 warning application-missing",
    "4:9-11 warning application-missing",
  ]);
  expect(check(file, plan("exten => 1,1,Answer", "exten => 1,hint,DAHDI/g0/${GLOBAL(x)}"))).toEqual([]);
});

test("a semicolon in arguments starts a comment", () => {
  expect(check(file, plan("exten => 1,1,Set(x=a;b)"))).toEqual(["2:10-21 warning parenthesis-open"]);
  expect(check(file, plan("exten => 1,1,Set(x=a\\;b)"))).toEqual([]);
});

test("patterns that match everything, and words that the dialplan does not know", () => {
  expect(check(file, plan("exten => _.,1,NoOp()", "same => n,NoOp()", "extn => 1,1,NoOp()"))).toEqual([
    "2:10-21 warning pattern-too-wide",
    "4:1-5 warning unknown-key",
  ]);
});

test("what is fine", () => {
  const lines = [
    "include => b",
    "ignorepat => 9",
    "switch => Loopback/x",
    "autohints = yes",
    "exten => _[1-9,]X.,1(start),NoOp(,)",
    "same => n+5(there),GotoIf($[${X}=1]?start)",
    "same => s,NoOp()",
    "same => 20,NoOp()",
    "exten => 2/${CID},1,NoOp()",
    "exten => 3,there,NoOp()",
  ];
  expect(
    check(file, `[general]\nanything=1\n[globals]\nexten=1\n[t](!)\nexten => x\n${plan(...lines)}`),
  ).toEqual([
    // n+5 is 6, and s is 6 again
    "14:9-17 warning priority-taken",
  ]);
});

test("a fragment goes on in the section that includes it", () => {
  const texts = {
    [file]: "[a]\nexten => 1,1,NoOp()\n#include extensions_custom.conf\n",
    "extensions_custom.conf": "same => n,NoOp()\nsame => n(,NoOp()\n",
  };
  expect(brief(diagnose(texts, file))).toEqual(["extensions_custom.conf:2:9-18 error exten-skipped"]);
});

test("a message names what it is about", () => {
  expect(only(file, plan("exten => 1,once,NoOp()")).message).toBe(
    'Asterisk skips this line, because "once" is neither a priority nor a label.',
  );
});
