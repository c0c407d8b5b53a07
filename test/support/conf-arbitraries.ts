/** Configuration files as no sane person writes them, one character a byte, for property and differential tests. */
import fc from "fast-check";
import { directoryMark } from "./get-config.ts";

const sectionNames = [
  "a",
  "b",
  "A",
  "base",
  "",
  " a",
  "a b",
  "x;y",
  "n".repeat(79),
  "n".repeat(80),
  "ü",
  "\xE4",
];
const sectionOptions = [
  ...[
    "!",
    "!",
    "!",
    "+",
    "+",
    "+",
    "+",
    "a",
    "a",
    "b",
    "b",
    "base",
    "base",
    "base",
    "A",
    "B",
    "bAse",
    "+",
    "!",
  ],
  ...[
    "",
    " a",
    "+TEMPLATES=include",
    "+TEMPLATES=restrict",
    "+v=1",
    "+v=^x&w=.",
    "+V=[0-9]+",
    "+ v = x ",
    "+v",
  ],
  ...["+v=", "+v=1&", "+'v'=\"1\"", "+v=*", "+v|w=a$", "+TEMPLATES=include&v=x?", "nobody", "n".repeat(79)],
];
const variableNames = [
  "v",
  "v",
  "v",
  "w",
  "w",
  "V",
  "long name",
  "\\[x",
  "\\;",
  "\\=",
  "\\\\",
  "+",
  "",
  "\xFC",
  "v\t",
];
const operators = ["=", " = ", "=>", " => ", "+=", " += ", " +=", "+=>", "= >", "==", " + = "];
const pieces = [
  ...[
    "1",
    "x",
    "yz",
    " ",
    "  ",
    "\t",
    ",",
    "#",
    "=",
    '"',
    "'",
    "\\",
    "\r",
    "\x01",
    "\xA0",
    "ü",
    "\xC3\xBC",
    "\xFF",
  ],
  ...[
    "\\;",
    "\\\\;",
    "--",
    "-",
    ";",
    "; c",
    ";--",
    "--;",
    ";-- c --;",
    ";---",
    "--\\;",
    ";--;",
    "[",
    "]",
    "(",
    ")",
  ],
];
const includes = [
  "a.conf",
  "b.conf",
  "*.conf",
  "{a,b}.conf",
  "[ab].conf",
  "?.conf",
  "sub/*.conf",
  "none.conf",
  "x*",
];
const names = ["root.conf", "a.conf", "b.conf", "sub/c.conf", "sub/.d.conf"] as const;

const pick = <T>(values: readonly T[]) => fc.constantFrom(...values);
const text = fc.array(pick(pieces), { maxLength: 5 }).map((parts) => parts.join(""));
const plain = pick(["", "1", "x", "x y", "a,b", "2 "]);

const options = fc.oneof(
  { weight: 4, arbitrary: fc.constant("") },
  {
    weight: 5,
    arbitrary: fc
      .array(pick(sectionOptions), { minLength: 1, maxLength: 3 })
      .map((all) => `(${all.join(",")})`),
  },
  { weight: 1, arbitrary: pick([" (a)", "(a", "(", "()", ")(a)", "(a)junk"]) },
);
const header = fc
  .tuple(pick(sectionNames), options, pick(["", "", "", " ; c", " junk"]))
  .map(([name, list, rest]) => `[${name}]${list}${rest}`);
const saneHeader = fc
  .tuple(pick(["a", "b", "base", "A"]), pick(["", "", "(!)", "(base)", "(+)", "(a,b)"]))
  .map((parts) => `[${parts[0]}]${parts[1]}`);
const variable = fc
  .tuple(pick(variableNames), pick(operators), fc.oneof(plain, text))
  .map((parts) => parts.join(""));
const saneVariable = fc
  .tuple(pick(["v", "w", "V"]), pick(["=", "=>", " += "]), plain)
  .map((parts) => parts.join(""));
const directive = fc
  .tuple(
    pick(["#include", "#include", "#tryinclude", "#tryinclude", "#TryInclude", "#unknown", "#", "# include"]),
    pick([" ", " ", " ", "\t", "", "\xA0"]),
    pick(['"', "<", "", "'"]),
    pick(includes),
    pick(["", "", "", " ; c", " junk"]),
  )
  .map(([word, gap, quote, path, rest]) => {
    return `${word}${gap}${quote}${directoryMark}/${path}${quote === "<" ? ">" : quote}${rest}`;
  });
const comment = pick([
  "; c",
  ";",
  ";-- c --;",
  ";--",
  "--;",
  "x --; y",
  " ; c",
  ";---",
  ";-- a ;-- b --;",
  "--;--;",
]);
const long = fc
  .tuple(
    pick([8189, 8190, 8191, 8192, 16381, 16382, 16383, 24573]),
    pick(["v=", "; ", "[", ";--"]),
    pick(["", "\0"]),
  )
  .chain(([length, start, nul]) =>
    fc.nat(length).map((position) => {
      const line = start.padEnd(length, "z");
      return nul === "" ? line : line.slice(0, position) + nul + line.slice(position + 1);
    }),
  );
const binary = fc.string({ unit: fc.nat(255).map((byte) => String.fromCharCode(byte)), maxLength: 20 });

const line = fc.oneof(
  { weight: 20, arbitrary: saneVariable },
  { weight: 9, arbitrary: saneHeader },
  { weight: 12, arbitrary: variable },
  { weight: 5, arbitrary: header },
  { weight: 4, arbitrary: directive },
  { weight: 5, arbitrary: comment },
  { weight: 2, arbitrary: text },
  {
    weight: 3,
    arbitrary: pick(["", " ", "\t\r", "\0", "junk", "[a", "\\ x=1", "\\\xFC=1", "v\0=1", "=1", "=>"]),
  },
  { weight: 1, arbitrary: long },
  { weight: 1, arbitrary: binary },
);
const endOfLine = fc.oneof(
  { weight: 12, arbitrary: fc.constant("\n") },
  { weight: 3, arbitrary: fc.constant("\r\n") },
  { weight: 1, arbitrary: pick(["\n\n", "\r", " \n"]) },
);

/** One file, as the lines above make it. */
function confText(start: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc
    .tuple(
      pick(["", "", "", "", "", "\xEF\xBB\xBF"]),
      start,
      fc.array(fc.tuple(line, endOfLine), { maxLength: 14 }),
      fc.oneof(fc.constant(""), line),
    )
    .map(([mark, first, lines, last]) => {
      return mark + first + lines.map(([content, end]) => content + end).join("") + last;
    });
}

/** A file that stands for itself, and mostly is one that Asterisk accepts. */
const rootText = confText(
  pick(["[base](!)\nv=1\n[b]\nw => x\n[a]\n", "[base](!)\nv=1\n[a]\n[b](base)\n", "[a]\n", ""]),
);
/** A file, often a fragment that is good only where others include it. */
export const fragmentText = confText(pick(["", "", "[a]\n", "[c]\n"]));

/** A root file and those it may include, by name; `directoryMark` stands in them for their directory. */
export const confDirectory: fc.Arbitrary<ReadonlyMap<string, string>> = fc
  .tuple(rootText, fc.array(fc.option(fragmentText, { freq: 4 }), { minLength: 4, maxLength: 4 }))
  .map(([root, others]) => {
    const files = new Map<string, string>([[names[0], root]]);
    others.forEach((content, index) => {
      const name = names[index + 1];
      if (content !== null && name !== undefined) files.set(name, content);
    });
    return files;
  });

/** Bytes that mean something to the parser, in no order that does: cheap, for many runs. */
export const confBytes: fc.Arbitrary<Buffer> = fc
  .tuple(
    fc.array(
      pick([
        ...pieces,
        ...[
          "\n",
          "\n",
          "\n",
          "\r\n",
          "\0",
          "=",
          "=>",
          "+=",
          "[a]",
          "(",
          "(!)",
          "(+)",
          "#include ",
          "\xEF\xBB\xBF",
        ],
        ...["z".repeat(4093), "z".repeat(8188)],
      ]),
      { maxLength: 24, size: "max" },
    ),
    fc.array(fc.nat(255), { maxLength: 2 }),
  )
  .map(([parts, bytes]) => Buffer.from(parts.join("") + String.fromCharCode(...bytes), "latin1"));
