/** In CEL, what ami-account-fields.ts says of a text. Of an event filter's syntax only the operator can say more. */
import type { CELRule } from "./rules.ts";

/** The most characters of a text; that it has no more bytes either is a rule of its own. */
export const maxText = 255;

/** What JavaScript's `trim` takes off; CEL's own takes off U+0085 and leaves U+FEFF. */
const blank = "[\\\\s\\\\pZ\\\\x{feff}]";

/** Of a text that must say something. */
export const notEmptyRule: CELRule = { rule: `!self.matches('^${blank}*$')`, message: "is empty" };

/** As `textProblem`. */
export const textRules: readonly CELRule[] = [
  {
    rule: "!self.matches('[\\\\x00-\\\\x1f\\\\x7f]')",
    message: "holds a line break, a NUL or another control character",
  },
  {
    rule: `!self.matches('^${blank}|${blank}$')`,
    message: "begins or ends with a blank, which Asterisk would cut off",
  },
  { rule: "!self.startsWith('>')", message: "begins with `>`, which would become part of the operator `=>`" },
  {
    rule: "!self.contains('--;') && !self.contains(';--')",
    message: "holds `;--` or `--;`, which begin and end comments in a .conf file",
  },
  { rule: "bytes(self).size() <= 255", message: "has more than 255 bytes" },
];

/** A netmask whose bits are in one run, in the decimal bytes of IPv4. */
const netmask = "^(255[.]){0,3}(255|254|252|248|240|224|192|128|0)([.]0){0,3}$";

/** As `addressProblem`, but for the order of the bits in a netmask of IPv6. */
export const addressRules: readonly CELRule[] = [
  {
    rule: "isIP(self.split('/')[0])",
    message: "is not a numeric address, address/bits or address/netmask; Asterisk looks up no names here",
  },
  {
    rule: [
      "!self.contains('/')",
      "self.matches('^[0-9.]+/(0{0,2}[0-9]|0?[12][0-9]|0?3[0-2])$')",
      "self.matches('^[^/]*:[^/]*/(0{0,2}[0-9]|0?[1-9][0-9]|1[01][0-9]|12[0-8])$')",
      `(self.matches('^[0-9.]+/[0-9.]+$') && isIP(self.split('/')[1]) && self.split('/')[1].matches('${netmask}'))`,
      "(self.matches('^[^/]*:[^/]*/[^/]*:[^/]*$') && isIP(self.split('/')[1]))",
    ].join(" || "),
    message: "has a mask that is neither a number of bits nor a netmask whose bits are in one run",
  },
];

/** As `variableProblem` says of a name; the API server does not bound the names of a map. */
export const variableNameRule: CELRule = {
  rule: "self.all(name, name.matches('^[A-Za-z0-9_][A-Za-z0-9_.-]*([(][A-Za-z0-9_.,:@/-]*[)])?$') && bytes(name + '=' + self[name]).size() <= 255)",
  message:
    "a name is not that of a channel variable, or of a function such as CDR(accountcode), or has more than 255 bytes with its value",
};
