import { describe, expect, test } from "@jest/globals";
import { ConfError } from "../../../core/conf/errors.ts";
import {
  isAsOwned,
  overlappingKeys,
  type OwnedKeys,
  type OwnedSection,
  type OwnedVariable,
  ownedKeys,
  parseOwnedLines,
  readOwned,
  restoreOwned,
  writeOwned,
} from "../../../core/conf/owned.ts";

/** `deny=a permit=b` as variables. */
const variables = (text: string): OwnedVariable[] =>
  text === ""
    ? []
    : text.split(" ").map((pair) => {
        const [name = "", value = ""] = pair.split("=");
        return { name, value };
      });
const whole = (name: string, text: string): OwnedSection => ({
  name,
  variables: variables(text),
  whole: true,
});
const keys = (name: string, text: string): OwnedSection => ({
  name,
  variables: variables(text),
  whole: false,
});
const written = (file: string, ...sections: OwnedSection[]) =>
  writeOwned(Buffer.from(file), sections).toString();
const restored = (file: string, owned: OwnedKeys[], original?: string) =>
  restoreOwned(
    Buffer.from(file),
    owned,
    original === undefined ? undefined : Buffer.from(original),
  ).toString();

function refusal(change: () => unknown): ConfError {
  try {
    change();
  } catch (error) {
    if (error instanceof ConfError) return error;
    throw error;
  }
  throw new Error("not refused");
}

const queues =
  "[general]\nupdatecdr = no ; never\n\n[support]\nstrategy = rrmemory\nmember => PJSIP/100 ; Ann\nmember => PJSIP/200 ; Bob\n";

describe("keys written into a file of others", () => {
  test("change the value alone", () => {
    expect(written(queues, keys("general", "updatecdr=yes"))).toBe(
      queues.replace("updatecdr = no ; never", "updatecdr = yes ; never"),
    );
  });

  test("keep the lines that stay, with their comments, and go where their order puts them", () => {
    const wanted = keys("support", "member=PJSIP/150 member=PJSIP/200 member=PJSIP/300");
    expect(written(queues, wanted)).toBe(
      queues
        .replace("member => PJSIP/100 ; Ann\n", "member => PJSIP/150 ; Ann\n")
        .concat("member => PJSIP/300\n"),
    );
    expect(written(queues, keys("support", "member=PJSIP/200"))).toBe(
      queues.replace("member => PJSIP/100 ; Ann\n", ""),
    );
    expect(written("[a]\ndeny=1\npermit=2 ; two\n", keys("a", "permit=2 deny=1"))).toBe(
      "[a]\npermit=2 ; two\ndeny=1\n",
    );
  });

  test("go behind the section's last variable where there are none yet", () => {
    expect(written(queues, keys("general", "persistentmembers=yes"))).toBe(
      queues.replace("; never\n", "; never\npersistentmembers = yes\n"),
    );
    expect(written("[a]\n; nothing\n[b]\n", keys("a", "x=1"))).toBe("[a]\nx = 1\n; nothing\n[b]\n");
  });

  test("make a section that is missing, behind a blank line, in the file's style", () => {
    expect(written("[a]\r\nx=1", keys("b", "y=2"))).toBe("[a]\r\nx=1\r\n\r\n[b]\r\ny=2\r\n");
    expect(written("", keys("b", "y=2"))).toBe("[b]\ny = 2\n");
    expect(written("\xEF\xBB\xBF[a]\n\n", keys("b", "y=2"))).toBe("\xEF\xBB\xBF[a]\n\n[b]\ny = 2\n");
  });

  test("are found in whatever case, as Asterisk finds them", () => {
    expect(written("[General]\nPort=1\n", keys("general", "port=2"))).toBe("[General]\nport=2\n");
    expect(isAsOwned(Buffer.from("[General]\nport=2\n"), keys("general", "port=2"))).toBe(true);
  });

  test("are written as the owner asks: => where it says so, else as its like, and = for a new name", () => {
    const member: OwnedVariable = { name: "member", value: "PJSIP/100", operator: "=>" };
    expect(written("[a]\n", { name: "q", variables: [member], whole: false })).toBe(
      "[a]\n\n[q]\nmember => PJSIP/100\n",
    );
    expect(written("[q]\nmember=>1\n", keys("q", "member=1 member=2"))).toBe("[q]\nmember=>1\nmember=>2\n");
    expect(written("[q]\nmember=>1\n", keys("q", "weight=2"))).toBe("[q]\nmember=>1\nweight=2\n");
    const other: OwnedVariable = { name: "member", value: "1", operator: "=" };
    const same = Buffer.from("[q]\nmember=>1\n");
    expect(writeOwned(same, [{ name: "q", variables: [other], whole: false }])).toBe(same);
  });

  test("take the place of every += that had a part in them", () => {
    expect(written("[a]\nx=1\nx += 2\nx += 3 ; c\ny+=4\n", keys("a", "x=12"))).toBe("[a]\nx=12\ny+=4\n");
  });

  test("do not touch block comments, nor go into one", () => {
    expect(written("[a]\n;-- v=1 --;\nx=1 ;--\nx=2\n--;\n", keys("a", "x=3 y=4"))).toBe(
      "[a]\n;-- v=1 --;\nx=3 ;--\nx=2\n--;\ny=4\n",
    );
    expect(written("[a]\nx=1 ;-- old\n--; x=2\n", keys("a", "y=1"))).toContain("--; x=2\ny=1\n");
    expect(written("[a]\nx=1\n;-- why --; x=2 ; c\n", keys("a", "x=1"))).toBe("[a]\nx=1\n;-- why --;  ; c\n");
  });

  test("replace a last line that has no end", () => {
    expect(written("[a]\nx=1", keys("a", "x=2"))).toBe("[a]\nx=2");
    expect(written("[a]\ny=0\nx=1", keys("a", "X=2"))).toBe("[a]\ny=0\nX=2\n");
    expect(written("[a]\nx=1", keys("a", "x=1 x=2"))).toBe("[a]\nx=1\nx=2\n");
    expect(written("[a]\nx=", keys("a", "x=1 y=2"))).toBe("[a]\nx=1\ny=2\n");
    expect(written("[a]\nx=1\ny=2", whole("a", "x=1 z=3"))).toBe("[a]\nx=1\nz=3\n");
  });

  test("are text in the file's own encoding", () => {
    const latin = Buffer.from("[a]\nx=\xFC\n", "latin1");
    expect(writeOwned(latin, [keys("a", "x=é")])).toEqual(Buffer.from("[a]\nx=\xE9\n", "latin1"));
    expect(written("[a]\nx=ü\n", keys("b", "y=é€"))).toBe("[a]\nx=ü\n\n[b]\ny=é€\n");
    expect(readOwned(latin, [{ section: "a", keys: ["x"] }])).toEqual([
      [{ name: "x", value: "ü", operator: "=" }],
    ]);
    expect(refusal(() => writeOwned(latin, [keys("a", "x=€")])).code).toBe("Unwritable");
  });

  test("escape what would be a comment", () => {
    expect(written("[a]\nx=1 ; c\n", keys("a", "x=a;b"))).toBe("[a]\nx=a\\;b ; c\n");
  });

  test("of a section with several headers are refused, unless one only continues it or all is as wanted", () => {
    const endpoint = "[6001]\ntype=endpoint\n[6001]\ntype=auth\n";
    expect(refusal(() => written(endpoint, keys("6001", "password=x")))).toMatchObject({
      code: "Ambiguous",
      line: 3,
    });
    expect(written(endpoint, keys("6001", "type=endpoint type=auth"))).toBe(endpoint);
    expect(written("[a]\nx=1\n[b]\n[a](+)\nx=2\n", keys("a", "x=1 x=3"))).toBe(
      "[a]\nx=1\n[b]\n[a](+)\nx=3\n",
    );
  });
});

describe("a section that is all the owner's", () => {
  const manager =
    "[general]\nenabled = yes\n\n[odoo]\nsecret = old ; ours\ndeny = 0.0.0.0/0\nextra = 1\n; a comment\n";

  test("holds nothing else", () => {
    expect(written(manager, whole("odoo", "secret=new deny=0.0.0.0/0 permit=10.0.0.1"))).toBe(
      manager.replace("= old", "= new").replace("extra = 1", "permit = 10.0.0.1"),
    );
    expect(isAsOwned(Buffer.from(manager), whole("odoo", "secret=old deny=0.0.0.0/0"))).toBe(false);
    expect(isAsOwned(Buffer.from(manager), whole("odoo", "secret=old deny=0.0.0.0/0 extra=1"))).toBe(true);
  });

  test("loses its template, and what stands behind the header, but no comment", () => {
    expect(written("[t](!)\n[odoo](t)(u) ; c\nx=1\n", whole("odoo", "x=1"))).toBe(
      "[t](!)\n[odoo] ; c\nx=1\n",
    );
    expect(isAsOwned(Buffer.from("[t](!)\n[odoo](t)\nx=1\n"), whole("odoo", "x=1"))).toBe(false);
    expect(refusal(() => written("[odoo](t;-- c --;)\n", whole("odoo", "x=1"))).code).toBe("Ambiguous");
  });

  test("has one header: of a second one the comments stay", () => {
    expect(written("[odoo]\nx=1\n[b]\ny=1\n[ODOO]\n; c\nx=2\n", whole("odoo", "x=2"))).toBe(
      "[odoo]\nx=2\n[b]\ny=1\n; c\n",
    );
  });

  test("is refused where a second header holds an include, which would go on in another section", () => {
    const file = '[odoo]\nx=1\n[b]\n[odoo]\n#include "more.conf"\n';
    expect(refusal(() => written(file, whole("odoo", "x=1")))).toMatchObject({ code: "Ambiguous", line: 5 });
  });

  test("may be empty", () => {
    expect(written("[a]\nx=1\n", whole("a", ""), whole("b", ""))).toBe("[a]\n\n[b]\n");
  });
});

describe("refused, with nothing written", () => {
  test.each([
    ["a line feed", "a\nb"],
    ["a carriage return", "a\rb"],
    ["a NUL byte", "a\0b"],
    ["the end of a block comment", "a--;b"],
    ["a > in front", ">a"],
    ["a blank in front", " a"],
    ["a tab behind", "a\t"],
    ["more than a line holds", "a".repeat(8190)],
  ])("a value with %s", (_, value) => {
    const secret = `hunter2${value}hunter2`;
    for (const one of [value, value.trim() === value && !value.startsWith(">") ? secret : value]) {
      const section = { name: "a", variables: [{ name: "secret", value: one }], whole: true };
      for (const file of ["", "[a]\nsecret=1\n"]) {
        const error = refusal(() => writeOwned(Buffer.from(file), [section]));
        expect(error.code).toBe("Unwritable");
        expect(error.message + error.hint).not.toContain("hunter2");
      }
    }
  });

  test.each(["", "a=b", "a;b", "[a", "#a", "\\a", " a", "a ", "a+", "a\n", "a--;"])("the name %j", (name) => {
    const section = { name: "a", variables: [{ name, value: "1" }], whole: true };
    expect(refusal(() => writeOwned(Buffer.from("[a]\n"), [section])).code).toBe("Unwritable");
  });

  test("a name or a value that no line holds, even where the file does", () => {
    const section = { name: "a", variables: [{ name: "[x", value: "1" }], whole: true };
    expect(refusal(() => writeOwned(Buffer.from("[a]\n\\[x=1\n"), [section])).code).toBe("Unwritable");
  });

  test("a value that makes the file change its encoding", () => {
    const latin = Buffer.from("[a]\nx=\xFC\n", "latin1");
    expect(refusal(() => writeOwned(latin, [keys("a", "x=Ã¼")])).code).toBe("Unwritable");
  });

  test("a file in which Asterisk goes on in the middle of a line", () => {
    const file = `[a]\nx=1\n;\0${"z".repeat(9000)}\n`;
    expect(refusal(() => written(file, keys("a", "x=2")))).toMatchObject({ code: "Ambiguous", line: 3 });
  });

  test.each(["a]b", "a\nb", "a\0", "n".repeat(80), "a--;"])("the section %j", (name) => {
    expect(refusal(() => writeOwned(Buffer.from(""), [whole(name, "x=1")])).code).toBe("Unwritable");
  });

  test("one key asked for twice", () => {
    expect(refusal(() => written("", keys("a", "x=1"), keys("A", "X=2"))).code).toBe("Ambiguous");
    expect(refusal(() => written("", whole("a", "x=1"), keys("a", "y=2"))).code).toBe("Ambiguous");
  });

  test("a section of which nothing is wanted", () => {
    expect(refusal(() => written("", keys("a", ""))).code).toBe("Unwritable");
  });

  test.each([
    ["behind a --; that silences the rest", "[a]\nx=1\n--;\n[b]\nx=1\n"],
    ["inside a block comment that never ends", "[a]\nx=1\n;--\n[b]\nx=1\n"],
    ["in a file that Asterisk gives up", "[a]\n[c\n[b]\nx=1\n"],
  ])("what Asterisk would not read, %s", (_, file) => {
    expect(refusal(() => written(file, keys("b", "x=1"))).code).toBe("NotRead");
    expect(isAsOwned(Buffer.from(file), keys("b", "x=1"))).toBe(false);
  });

  test("a variable with a block comment in it", () => {
    expect(refusal(() => written("[a]\nx=1;-- c --;2\n", keys("a", "x=3")))).toMatchObject({
      code: "Ambiguous",
      line: 2,
    });
  });

  test("but not what is read, before a --; or an open block comment", () => {
    expect(written("[a]\nx=1\n--;\n[b]\n", keys("a", "x=2"))).toBe("[a]\nx=2\n--;\n[b]\n");
    expect(written("[a]\nx=1\n;--\n[b]\n", keys("a", "x=2 y=3"))).toBe("[a]\nx=2\ny=3\n;--\n[b]\n");
  });
});

describe("reading", () => {
  test("tells a section that is not there from one that has none of the keys", () => {
    const file = Buffer.from("[a]\nx=1\n[A]\nx => 2\nX=3\ny=4\n");
    expect(readOwned(file, [{ section: "b", keys: "all" }])).toEqual([null]);
    expect(readOwned(file, [{ section: "a", keys: ["z"] }])).toEqual([[]]);
    expect(readOwned(file, [{ section: "a", keys: ["x"] }])).toEqual([
      [
        { name: "x", value: "1", operator: "=" },
        { name: "x", value: "2", operator: "=>" },
        { name: "X", value: "3", operator: "=" },
      ],
    ]);
    expect(readOwned(file, [{ section: "a", keys: "all" }])[0]).toHaveLength(4);
  });

  test("joins what += extends, with the blanks that Asterisk keeps", () => {
    const file = Buffer.from("[a]\nx=1\nx += 2\nX += 3\n");
    expect(readOwned(file, [{ section: "a", keys: ["x"] }])).toEqual([
      [
        { name: "x", value: "1 2", operator: "=" },
        { name: "X", value: "3", operator: "=" },
      ],
    ]);
    expect(isAsOwned(file, { name: "a", whole: false, variables: [{ name: "x", value: "1 2" }] })).toBe(
      false,
    );
  });
});

describe("keys taken out again", () => {
  const mine = [{ section: "odoo", keys: "all" }] as const;

  test("leave the very file that was there before", () => {
    const file = Buffer.from("[a]\nx  =\t1 ; odd\nx+=2");
    const section = keys("a", "x=3 y=4");
    const changed = writeOwned(file, [section]);
    expect(restoreOwned(changed, ownedKeys([section]), file)).toBe(file);
    expect(restored("[odoo]\nsecret = 1\n", [...mine])).toBe("");
  });

  test("leave what a person has added around them, byte for byte", () => {
    const before = "[general]\nport=5038";
    const after = written(before, whole("odoo", "secret=1"), keys("general", "port=5039"));
    const owned = [...mine, { section: "general", keys: ["port"] }];
    const edited = after.replace("[general]", "[general]\n; by hand\nenabled  =yes").concat("\n[new]\r\nx=1");
    expect(restored(edited, owned, before)).toBe(
      "[general]\n; by hand\nenabled  =yes\nport=5038\n\n[new]\r\nx=1",
    );
  });

  test("leave another owner's section with its own blank line, whoever came first", () => {
    const [a, b] = [keys("a", "v=1"), keys("b", "v=1")];
    const both = written("[c]\n", a, b);
    expect(both).toBe("[c]\n\n[a]\nv = 1\n\n[b]\nv = 1\n");
    expect(restored(both, ownedKeys([a]), "[c]\n")).toBe("[c]\n\n[b]\nv = 1\n");
    expect(restored(both, ownedKeys([b]), "[c]\n")).toBe("[c]\n\n[a]\nv = 1\n");
    expect(restored(both, ownedKeys([a]), "[c]")).toBe("[c]\n\n[b]\nv = 1\n");
  });

  test("leave the section in which somebody else has a variable or an include", () => {
    const after = written("[a]\n", keys("q", "x=1"));
    const owned = [{ section: "q", keys: ["x"] }];
    expect(restored(`${after}y=2\n`, owned, "[a]\n")).toBe("[a]\n\n[q]\ny=2\n");
    expect(restored(`${after}#include "y.conf"\n`, owned, "[a]\n")).toBe('[a]\n\n[q]\n#include "y.conf"\n');
    expect(restored(`${after}[r](q)\n`, owned, "[a]\n")).toBe("[a]\n\n[q]\n[r](q)\n");
    expect(restored(`${after}; only a comment\n`, owned, "[a]\n")).toBe("[a]\n; only a comment\n");
  });

  test("are put back where they were changed by hand in the meantime", () => {
    const before = "[odoo](t)\nsecret = 1 ; first\npermit = 2 ; second\n";
    const after = written(before, whole("odoo", "secret=3"));
    expect(after).toBe("[odoo]\nsecret = 3 ; first\n");
    expect(restored(after.replace("3", "4").replace("first", "mine"), [...mine], before)).toBe(
      "[odoo](t)\nsecret = 1 ; mine\npermit = 2 ; second\n",
    );
  });

  test("come back where the section was removed by hand", () => {
    expect(restored("[a]\n", [...mine], "[odoo]\nsecret=1 ; c\n[a]\n")).toContain("[odoo]\nsecret=1 ; c\n");
    expect(restored("[a]\n", [...mine], "[a]\n")).toBe("[a]\n");
  });

  test("are refused where an include, or another section, would lose the section it stands on", () => {
    const after = written("[a]\n", whole("odoo", "secret=1"));
    const include = refusal(() => restored(`${after}#include "x.conf"\n`, [...mine], "[a]\n"));
    expect(include).toMatchObject({ code: "Ambiguous", line: 5 });
    const child = refusal(() => restored(`${after}[b](odoo)\n`, [...mine], "[a]\n"));
    expect(child).toMatchObject({ code: "InUse", line: 5 });
  });

  test("go out of a file that Asterisk gives up, too", () => {
    expect(restored("[a\n[odoo]\nsecret=1\n", [...mine], "[a\n")).toBe("[a\n");
  });
});

describe("claims", () => {
  test("are the names, each once", () => {
    expect(ownedKeys([keys("a", "x=1 X=2 y=3"), whole("b", "x=1")])).toEqual([
      { section: "a", keys: ["x", "y"] },
      { section: "b", keys: "all" },
    ]);
  });

  test.each<[OwnedKeys["keys"], OwnedKeys["keys"], OwnedKeys["keys"] | undefined]>([
    [["x", "y"], ["Y", "z"], ["y"]],
    [["x"], ["y"], undefined],
    ["all", ["x"], ["x"]],
    [["x"], "all", ["x"]],
    ["all", "all", "all"],
  ])("%j and %j overlap in %j", (a, b, shared) => {
    const expected = shared === undefined ? [] : [{ section: "Sec", keys: shared }];
    expect(overlappingKeys([{ section: "Sec", keys: a }], [{ section: "sEC", keys: b }])).toEqual(expected);
    expect(overlappingKeys([{ section: "Sec", keys: a }], [{ section: "other", keys: b }])).toEqual([]);
  });
});

describe("lines as a person writes them", () => {
  test("are variables with comments between", () => {
    expect(parseOwnedLines("; members\r\n\nmember => PJSIP/100 ; Ann\r\n  note = a\\;b ü\nempty =")).toEqual([
      { name: "member", value: "PJSIP/100", operator: "=>" },
      { name: "note", value: "a;b ü", operator: "=" },
      { name: "empty", value: "", operator: "=" },
    ]);
    expect(parseOwnedLines("")).toEqual([]);
  });

  test.each([
    "[section]",
    '#include "x.conf"',
    "x += 1",
    "junk",
    "= 1",
    ";-- x --;",
    ";--",
    "x = 1 ;-- c --;",
    ";-- c --; x = 1",
    "x = 1;-- c --;2",
    "--;",
    "x = 1 --;",
    "x = 1\0junk",
    "x = a\rb",
    "[open",
    `x = ${"1".repeat(8190)}`,
  ])("hold no %j", (line) => {
    expect(refusal(() => parseOwnedLines(`a = 1\n${line}\n`)).line).toBe(2);
  });
});
