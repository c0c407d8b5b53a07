/**
 * Small configurations with what Asterisk makes of them. document.test.ts holds our view against these answers,
 * get-config.test.ts asks live Asterisk for them: so neither can be wrong unseen.
 */
import type { Answer, AnsweredSection } from "./get-config.ts";

export interface ConfCase {
  readonly name: string;
  /** By name; `root.conf` is the one asked for, `@DIR@` stands for the directory they are put into. */
  readonly files: Readonly<Record<string, string>>;
  readonly answer: Answer;
}

function section(name: string, lines: string[], more: Partial<AnsweredSection> = {}): AnsweredSection {
  return { name, template: false, inherits: "", lines, ...more };
}

function one(name: string, root: string, answer: Answer): ConfCase {
  return { name, files: { "root.conf": root }, answer };
}

const template = { template: true };
const longLine = (length: number) => "v=".padEnd(length, "z");
const nested = (depth: number) => ";--\n".repeat(depth) + "--;\n".repeat(depth);

export const confCases: readonly ConfCase[] = [
  one("blanks are all bytes below 33", "[a]\n\x01 v \x02=\x1f 1 \t\r\n", [section("a", ["v=1"])]),
  one("a lone CR ends no line", "[a]\nv=1\rw=2\n", [section("a", ["v=1\rw=2"])]),
  one("a BOM is skipped", "\xEF\xBB\xBF[a]\nv=1\n", [section("a", ["v=1"])]),
  one("a BOM on line 2 is text", "[a]\n\xEF\xBB\xBFv=1\n", [section("a", ["\xEF\xBB\xBFv=1"])]),
  one("escapes: \\; is ; and \\\\; is \\;", "[a]\nv=1\\;2\\\\;3;4\n", [section("a", ["v=1;2\\;3"])]),
  one("quotes protect nothing", '[a]\nv="1;2"\n', [section("a", ['v="1'])]),
  one("# starts no comment", "[a]\nv=1 # c\n#v=2\n", [section("a", ["v=1 # c"])]),
  one("a block comment within a line", "[a]\nv=1 ;-- c --;2\n", [section("a", ["v=1 2"])]),
  one("a block comment over lines", "[a]\nv=1;--\nw=2\n--;x=3\n", [section("a", ["v=1", "x=3"])]),
  one("block comments nest", "[a]\n;-- ;-- --;\nv=1\n--;\nw=2\n", [section("a", ["w=2"])]),
  one(";--; opens a block and does not close it", "[a]\n;--;\nv=1\n--;\nw=2\n", [section("a", ["w=2"])]),
  one(";--- opens no block", "[a]\n;--- c\nv=1\n", [section("a", ["v=1"])]),
  one("128 nested block comments", `[a]\n${nested(128)}v=1\n`, [section("a", ["v=1"])]),
  one("an unclosed block comment", "[a]\nv=1\n;--\nw=2\n", [section("a", ["v=1"])]),
  one("--; outside a block silences the rest", "[a]\nv=1 --; x\nw=2\n[b]\n", [section("a", ["v=1 --; x"])]),
  one("… until a ;-- makes up for it", "[a]\nv=1 --;\nw=2\n;--\nx=3\n", [section("a", ["v=1 --;", "x=3"])]),
  one("a line of 8190 bytes", `[a]\n${longLine(8190)}\nw=1\n`, [section("a", [longLine(8190), "w=1"])]),
  one("a line of 8191 bytes is skipped", `[a]\n${longLine(8191)}\nw=1\n`, [section("a", ["w=1"])]),
  one("a last line of 8191 bytes is skipped", `[a]\n${longLine(8191)}`, [section("a", [])]),
  one("text behind a NUL is not seen", "[a]\nv=1\0;--\nw=2\n", [section("a", ["v=1", "w=2"])]),
  one("a NUL breaks a long line in two", `[a]\nv=1\0${"z".repeat(8187)}w=2\n`, [
    section("a", ["v=1", "w=2"]),
  ]),
  one("a NUL ends the skipping of a long line", `[a]\n${"z".repeat(8191)}\0${"z".repeat(8190)}w=2\n`, [
    section("a", ["w=2"]),
  ]),

  one("the name ends at the first ] and keeps its blanks", "[ a ]b]\nv=1\n", [section(" a ", ["v=1"])]),
  one("a name keeps 79 bytes", `[${"n".repeat(80)}]\nv=1\n`, [section("n".repeat(79), ["v=1"])]),
  one("an option list must stand close", "[t](!)\nv=1\n[u] (t)\n", [
    section("t", ["v=1"], template),
    section("u", []),
  ]),
  one("blanks in an option list are part of the name", "[t](!)\n[u]( t)\n", "invalid"),
  one("two parents, in order", "[s](!)\nv=1\n[t](!)\nv=2\n[u](s,T)\nv=3\n", [
    section("s", ["v=1"], template),
    section("t", ["v=2"], template),
    section("u", ["v=1", "v=2", "v=3"], { inherits: "s,t" }),
  ]),
  one("a parent may be no template, and gives what it has by now", "[t]\nv=1\n[u](t)\n[t](+)\nv=2\n", [
    section("t", ["v=1", "v=2"]),
    section("u", ["v=1"], { inherits: "t" }),
  ]),
  one("no such parent", "[u](t)\n[t](!)\n", "invalid"),
  one("an empty parent is the first section", "[t]\nv=1\n[u]()\n", [
    section("t", ["v=1"]),
    section("u", ["v=1"], { inherits: "t" }),
  ]),
  one("equal names stay apart", "[a]\nv=1\n[a]\nv=2\n", [section("a", ["v=1"]), section("a", ["v=2"])]),
  one("(+) goes to the first that is no template", "[a](!)\n[A]\nv=1\n[a]\n[a](+)\nw=2\n", [
    section("a", [], template),
    section("A", ["v=1", "w=2"]),
    section("a", []),
  ]),
  one("(+) without such a section", "[a](!)\n[a](+)\n", "invalid"),
  one("(+) reaches templates by a filter", "[a](!)\n[a](+TEMPLATES=include)\nv=1\n", [
    section("a", ["v=1"], template),
  ]),
  one("(+TEMPLATES=restrict) reaches nothing else", "[a]\n[a](!)\n[a](+TEMPLATES=restrict)\nv=1\n", [
    section("a", []),
    section("a", ["v=1"], template),
  ]),
  one("(+) picks by regular expressions", "[a]\nv=1\n[a]\nv=22\nw=x\n[a](+^v$=2{2}&w=[x-z])\nx=3\n", [
    section("a", ["v=1"]),
    section("a", ["v=22", "w=x", "x=3"]),
  ]),
  one("… which reach no template by themselves", "[a](!)\nv=1\n[a](+v=1)\n", "invalid"),
  one("(+) with an expression that does not compile", "[a]\nv=1\n[a](+v=*)\n", "invalid"),
  one("(!,+) makes a template of a section", "[a]\nv=1\n[a](!,+)\nw=2\n", [
    section("a", ["v=1", "w=2"], template),
  ]),
  one("(t,+) copies, and forgets where from", "[t]\nv=1\n[a]\n[a](t,+)\n", [
    section("t", ["v=1"]),
    section("a", ["v=1"]),
  ]),
  one("(+,t) copies, and remembers", "[t]\nv=1\n[a]\n[a](+,t)\n", [
    section("t", ["v=1"]),
    section("a", ["v=1"], { inherits: "t" }),
  ]),

  one("=> is =", "[a]\nv => 1\nw=>2\nx = > 3\n", [section("a", ["v=1", "w=2", "x=> 3"])]),
  one("+= extends the last of that name", "[a]\nv=1\nv=2\nv += 3\n", [section("a", ["v=1", "v=2 3"])]),
  one("… with the blanks as they are", "[a]\nv=1\nv+=2\nv +=  , 3\n", [section("a", ["v=12  , 3"])]),
  one("… and the case of the name", "[a]\nv=1\nV+=2\n", [section("a", ["v=1", "V=2"])]),
  one("… an inherited one too, in the child", "[t](!)\nv=1\n[u](t)\nv+=2\n", [
    section("t", ["v=1"], template),
    section("u", ["v=12"], { inherits: "t" }),
  ]),
  one("… but writes to the first of equal value", "[a]\nv=x\nv=X\nv+=2\n", [section("a", ["v=X2", "v=X"])]),
  one("… and to the first of all, if that value is empty", "[a]\nv=1\nv=\nv+=2\n", [
    section("a", ["v=2", "v="]),
  ]),
  one("+=> gives a >", "[a]\nv +=> 1\n", [section("a", ["v=> 1"])]),
  one("a \\ escapes the first character", "[a]\n\\[x=1\n\\#y=2\n\\==3\n", [
    section("a", ["[x=1", "#y=2", "==3"]),
  ]),
  one("a \\ before a blank", "[a]\n\\ x=1\n", "invalid"),
  one("a \\ before a byte above 127", "[a]\n\\\xFC=1\n", "invalid"),
  one("no =, no name", "[a]\nv\n=1\n=>\nw=2\n", [section("a", ["w=2"])]),
  one("no section", "v=1\n[a]\n", "invalid"),
  one("no ]", "[a]\n[b\n", "invalid"),
  one("no )", "[a]\n[b](a\n", "invalid"),
  one("an empty file", "", []),

  {
    name: "a file that is not there",
    files: {},
    answer: "missing",
  },
  {
    name: "an include goes on in the open section, and its parent in its own",
    files: { "root.conf": '[a]\n#include "@DIR@/a.conf"\nw=2\n', "a.conf": "v=1\n[b]\nx=3\n" },
    answer: [section("a", ["v=1", "w=2"]), section("b", ["x=3"])],
  },
  {
    name: "the next include goes on in the section opened last",
    files: {
      "root.conf": "[a]\n#include <@DIR@/a.conf>\n#INCLUDE @DIR@/b.conf\n",
      "a.conf": "[b]\n",
      "b.conf": "v=1\n",
    },
    answer: [section("a", []), section("b", ["v=1"])],
  },
  {
    name: "… or reopened by (+)",
    files: { "root.conf": "[a]\n[b]\n[a](+)\n#include @DIR@/a.conf\n", "a.conf": "v=1\n" },
    answer: [section("a", ["v=1"]), section("b", [])],
  },
  {
    name: "an include that is not there",
    files: { "root.conf": "[a]\n#include @DIR@/x.conf\n" },
    answer: "invalid",
  },
  {
    name: "a pattern without a match",
    files: { "root.conf": "[a]\n#include @DIR@/x*\n" },
    answer: "invalid",
  },
  {
    name: "#tryinclude minds neither",
    files: { "root.conf": "[a]\n#tryinclude @DIR@/x.conf\n#tryinclude @DIR@/x*\nv=1\n" },
    answer: [section("a", ["v=1"])],
  },
  {
    name: "unknown directives, and those without an argument, are skipped",
    files: { "root.conf": '[a]\n#includes "x"\n#include\n#include"x"\n# include x\nv=1\n' },
    answer: [section("a", ["v=1"])],
  },
  {
    name: "a byte above 127 ends the word of a directive",
    files: { "root.conf": "[a]\n#include\xA0@DIR@/a.conf\n", "a.conf": "v=1\n" },
    answer: [section("a", ["v=1"])],
  },
  {
    name: "a pattern's matches come sorted by bytes, without hidden files",
    files: {
      "root.conf": "[a]\n#include @DIR@/x/*.conf\n",
      "x/b.conf": "v=b\n",
      "x/B.conf": "v=B\n",
      "x/a.conf": "v=a\n",
      "x/\u00fc.conf": "v=u\n",
      "x/.h.conf": "v=h\n",
      "x/c.txt": "v=c\n",
    },
    answer: [section("a", ["v=B", "v=a", "v=b", "v=u"])],
  },
  {
    name: "brace alternatives come as written, and missing ones are passed over",
    files: { "root.conf": "[a]\n#include @DIR@/{b,x,a,b}.conf\n", "a.conf": "v=a\n", "b.conf": "v=b\n" },
    answer: [section("a", ["v=b", "v=a", "v=b"])],
  },
  {
    name: "a section goes on from one match to the next",
    files: { "root.conf": "[a]\n#include @DIR@/[xy].conf\n", "x.conf": "[b]\n", "y.conf": "v=1\n" },
    answer: [section("a", []), section("b", ["v=1"])],
  },
  {
    name: "an open block comment leaks into the next match, not into the parent",
    files: { "root.conf": "[a]\n#include @DIR@/[xy].conf\nw=2\n", "x.conf": ";--\n", "y.conf": "v=1\n" },
    answer: [section("a", ["w=2"])],
  },
  {
    name: "a BOM is skipped in the first match only",
    files: {
      "root.conf": "[a]\n#include @DIR@/[xy].conf\n",
      "x.conf": "\xEF\xBB\xBFv=1\n",
      "y.conf": "\xEF\xBB\xBFv=2\n",
    },
    answer: [section("a", ["v=1", "\xEF\xBB\xBFv=2"])],
  },
  {
    name: "a syntax error stops the included file and the matches behind it, not the parent",
    files: {
      "root.conf": "[a]\n#include @DIR@/[xy].conf\nw=2\n",
      "x.conf": "v=1\n[b](nobody)\nv=3\n",
      "y.conf": "v=4\n",
    },
    answer: [section("a", ["v=1", "w=2"])],
  },
  {
    name: "ten levels of includes",
    files: levels(10),
    answer: [
      section(
        "a",
        Array.from({ length: 11 }, (_, level) => `v=${level}`),
      ),
    ],
  },
  {
    name: "the eleventh level is not read, and that is fatal for the tenth only",
    files: levels(11),
    answer: [
      section(
        "a",
        Array.from({ length: 11 }, (_, level) => `v=${level}`),
      ),
    ],
  },
  {
    name: "a circle goes round until the depth ends it",
    files: { "root.conf": "[a]\nv=1\n#include @DIR@/root.conf\nw=2\n" },
    answer: Array.from({ length: 11 }, (_, level) => section("a", level === 10 ? ["v=1"] : ["v=1", "w=2"])),
  },
  {
    name: "ten invalid includes use up the levels",
    files: {
      "root.conf": `[a]\n${"#include @DIR@/x.conf\n".repeat(10)}v=1\n#include @DIR@/y.conf\n`,
      "x.conf": "[\n",
      "y.conf": "",
    },
    answer: "invalid",
  },
  {
    name: "nine invalid includes do not",
    files: {
      "root.conf": `[a]\n${"#include @DIR@/x.conf\n".repeat(9)}v=1\n#include @DIR@/y.conf\n`,
      "x.conf": "[\n",
      "y.conf": "w=2\n",
    },
    answer: [section("a", ["v=1", "w=2"])],
  },
  {
    name: "an include is looked for below the configuration directory, whichever way it is named",
    files: {
      "root.conf": "[a]\n#include /etc/asterisk/@DIR@/a.conf\n#include ./@DIR@//x/../a.conf\n",
      "a.conf": "v=1\n",
      "x/b.conf": "",
    },
    answer: [section("a", ["v=1", "v=1"])],
  },
  {
    name: "a slash behind a name is dropped, behind a pattern it asks for directories",
    files: {
      "root.conf": "[a]\n#include @DIR@/a.conf/\n#tryinclude @DIR@/a.conf/.\n#tryinclude @DIR@/a*/\n",
      "a.conf": "v=1\n",
    },
    answer: [section("a", ["v=1"])],
  },
  {
    name: "an include's name ends at 255 bytes, the directory's included",
    files: {
      "root.conf": `[a]\n#tryinclude ${"./".repeat(100)}@DIR@/${"n".repeat(60)}.conf\nv=1\n`,
      [`${"n".repeat(60)}.conf`]: "v=2\n",
    },
    answer: [section("a", ["v=1"])],
  },
];

/** root.conf includes 1.conf includes 2.conf … */
function levels(deepest: number): Record<string, string> {
  const files: Record<string, string> = { "root.conf": "[a]\nv=0\n#include @DIR@/1.conf\n" };
  for (let level = 1; level <= deepest; level++) {
    files[`${level}.conf`] = `v=${level}\n${level < deepest ? `#include @DIR@/${level + 1}.conf\n` : ""}`;
  }
  return files;
}
