import { skipBlanks, trimBlanks } from "./text.ts";

/**
 * Which variables of a .conf file hold a secret. Names are matched without regard to case and, unless a rule
 * names files, in every file: what is masked once too often does no harm.
 */
export interface SecretRule {
  /** The files (base names) that the rule is for; all without it. */
  readonly files?: RegExp;
  /** The same by the whole path below the configuration directory. */
  readonly paths?: Pattern;
  /** The names of the sections that the rule is for. It only counts where the section of a line is known. */
  readonly section?: Pattern;
  /** What `type=` says in the sections that the rule is for, e.g. `auth`; as `section` otherwise. */
  readonly type?: Pattern;
  readonly key: Pattern;
  /** The rule is only for a key that its line begins with, blanks and `;` aside. */
  readonly leading?: true;
  /** Keys that `key` matches and that hold no secret. */
  readonly except?: RegExp;
  /** A character of the value without which `part` finds nothing. */
  readonly needs?: string;
  /** The secret's part of the value as its first capture group, with indices; without it the whole value. */
  readonly part?: RegExp;
}

/** A regular expression, or what else can tell whether a text is meant. */
export interface Pattern {
  test(text: string): boolean;
}

/** Where a line stands. A name or type that is not known, as in a fragment without a header, may be any. */
export interface SectionPlace {
  readonly name: string | undefined;
  readonly type: string | undefined;
}

/** A secret within a line, without blanks around it: half-open, in characters. */
export interface SecretSpan {
  readonly start: number;
  readonly end: number;
  /** The variable that holds it, or `url`, `dial` or `password` for one that stands inside a value. */
  readonly name: string;
}

/** The rules for Asterisk's own files and FreePBX's; append to them where a distribution or module has more. */
export const secretRules: readonly SecretRule[] = [
  // manager, pjsip auth, iax, sip, users, ari, http clients, calendars, xmpp, ldap, databases (res_odbc, cdr_*, cel_*, dbsep) …
  {
    key: /secret|passw|passphrase|pass$|pwd|token|_cred$|credential|api_?key/i,
    except:
      /^(secretpath|externpass(notify|check)?|minpassword|passwordlocation|password_?format|.*calltoken.*|vm-.*)$/i,
  },
  // confbridge, minivm, queue agents, dialplan variables
  { key: /(^|[_-])(user|admin|conf|room|vm)?[_-]?pin(code|number)?s?$/i },
  // voicemail: `1234 => PIN,Name,e-mail`. Its fragments go by any name; in AEL and Lua such a line is something else.
  { files: /^(voicemail|vm_)/i, key: /^\d+$/, leading: true, part: /^([^,]*)/d },
  {
    files: /^voicemail/i,
    section: /^(?!(general|zonemessages)$)/i,
    key: /./,
    leading: true,
    part: /^([^,;@]+)(?=[,;]|$)/d,
  },
  { files: /^(voicemail|vm_)/i, key: /./, leading: true, part: /^([-*#\d]+),/d },
  { files: /^(?!.*\.(ael|lua)$)/i, key: /^\d+$/, leading: true, part: /^([-*#\d]+)(?=\s*(?:[,;]|$))/d },
  { files: /^meetme/i, key: /^conf$/i, part: /^[^,]{0,200},([^]*)/d },
  { files: /^agents/i, key: /^agent$/i, part: /^[^,]{0,200},([^,]*)/d },
  // sip, iax: `register => user:secret@host`, `auth = user:secret@realm`
  { key: /^(register|auth)$/i, needs: "@", part: /^[^:@]{0,200}:([^]*)@/d },
];

/** Files of which every line holds a secret, as its first capture group. */
const secretLines = [
  // FreePBX: PINs, one a line; `PIN|context|caller` for DISA.
  { files: /^pinset_\d+$/, part: /^\s*(;?\d[^]*|[^;\s][^]*)$/d },
  { files: /^disa-\d+\.conf$/, part: /^\s*([^;|,\s][^|,]*)/d },
];

/**
 * The secrets that stand inside a value whatever its key, and a character without which there is none. Blanks are ASCII's: a
 * byte above may be part of a letter. Lengths are bounded, for a line may be long and hostile.
 */
const embedded: readonly { readonly name: string; readonly needs: string; readonly pattern: RegExp }[] = [
  // Channels and DUNDi's mappings: `IAX2/user:secret@peer`, `IAX2,user:secret@peer`.
  {
    name: "dial",
    needs: "@",
    pattern: /\b(?:IAX2?|SIP)[/,][^\0-\x20:/@,&)]{0,200}:([^\0-\x20@]{0,1000})@/dgi,
  },
  { name: "url", needs: "@", pattern: /:\/\/[^\0-\x20:/@]{0,200}:([^\0-\x20@]{0,1000})@/dg },
  { name: "url", needs: "@", pattern: /\bsips?:[^\0-\x20:@;?<>]{1,200}:([^\0-\x20@]{0,1000})@/dgi },
  { name: "password", needs: "(", pattern: /\b(?:VM)?(?:Authenticate|DISA)\(([^,)]*)/dgi },
];

/** Whether the value of `key` in `file` (a path) holds a secret, in whole or in part. */
export function isSecretKey(file: string, key: string, rules: readonly SecretRule[] = secretRules): boolean {
  return ruleFor(rulesOf(file, rules), key) !== undefined;
}

/**
 * Finds the secrets in a line of a .conf file.
 * @param line without its end
 * @param section where the line stands, if that is known
 */
export type SecretFinder = (line: string, section?: SectionPlace) => readonly SecretSpan[];

/**
 * What finds the secrets in the lines of a file as they stand, comments and commented-out variables too, in order. Behind the
 * operator of a secret variable everything is one, a comment too: where the value ends is not worth a mistake.
 */
export function secretFinder(file: string, rules: readonly SecretRule[] = secretRules): SecretFinder {
  const find = rawFinder(file, rules);
  return (line, section) => tidy(line, find(line, section));
}

/** The value with each byte of its secrets as `*`: its length stays, so that columns do too. */
export function maskValue(
  file: string,
  key: string,
  value: string,
  rules: readonly SecretRule[] = secretRules,
): string {
  const own = rulesOf(file, rules);
  return mask(value, scan(own, value, undefined, { rule: ruleFor(own, key), name: key }));
}

/** The secrets in a file's bytes, one character a byte: with and without the `\` in front of a `;`. */
export function secretValues(file: string, bytes: Uint8Array, rules: readonly SecretRule[]): string[] {
  if (rules.length === 0) return [];
  const find = secretFinder(file, rules);
  return Buffer.from(bytes)
    .toString("latin1")
    .split(/\r?\n/)
    .flatMap((line) => find(line).map(({ start, end }) => line.slice(start, end)))
    .flatMap((value) => [value, value.replaceAll("\\;", ";")]);
}

/** A line of a .conf file as it stands, comments too, with its secrets masked byte for byte. */
export function maskLine(file: string, line: string, rules: readonly SecretRule[] = secretRules): string {
  return mask(line, rawFinder(file, rules)(line));
}

/** The same with eight stars for each secret: where columns do not matter, its length is nobody's business either. */
export function hideSecrets(file: string, line: string, rules: readonly SecretRule[] = secretRules): string {
  let shown = "";
  let from = 0;
  for (const { start, end } of secretFinder(file, rules)(line)) {
    shown += `${line.slice(from, start)}********`;
    from = end;
  }
  return shown + line.slice(from);
}

/** Spans in no order, which may be empty or overlap. */
function rawFinder(
  file: string,
  rules: readonly SecretRule[],
): (...line: Parameters<SecretFinder>) => SecretSpan[] {
  const own = rulesOf(file, rules);
  const name = baseName(file);
  const parts = secretLines.flatMap(({ files, part }) => (files.test(name) ? [part] : []));
  return (line, section) => {
    const found = scan(own, line, section);
    for (const part of parts) {
      const indices = part.exec(line)?.indices?.[1];
      if (indices !== undefined) found.push({ start: indices[0], end: indices[1], name: "password" });
    }
    return found;
  };
}

/**
 * Walks from one secret variable to the next; what lies between may hold embedded secrets.
 * @param rules those of the file
 * @param first what is known of the text's own beginning, where it is a value
 */
function scan(
  rules: readonly SecretRule[],
  text: string,
  section: SectionPlace | undefined,
  first?: { readonly rule: SecretRule | undefined; readonly name: string },
): SecretSpan[] {
  const found: SecretSpan[] = [];
  const textStart = /^[\s;]*/.exec(text)?.[0].length;
  let from = 0;
  /** Where the text begins in which no embedded secret was looked for yet. */
  let unread = 0;
  const lastPlaces = new Map<string, number>();
  /** Whether a character stands at `start` or behind: asked for each value of a line that may be long and hostile. */
  const hasFrom = (start: number, needs: string | undefined): boolean => {
    if (needs === undefined) return true;
    const last = lastPlaces.get(needs) ?? text.lastIndexOf(needs);
    lastPlaces.set(needs, last);
    return last >= start;
  };
  /** Takes the value that begins at `start`; false when nothing is left behind it. */
  const takeValue = ({ part, needs }: SecretRule, name: string, start: number): boolean => {
    if (part === undefined) {
      found.push({ start, end: text.length, name });
      return false;
    }
    const indices = hasFrom(start, needs) ? part.exec(text.slice(start))?.indices?.[1] : undefined;
    unread = start;
    if (indices !== undefined) {
      found.push({ start: start + indices[0], end: start + indices[1], name });
      unread = from = start + indices[1];
    }
    return true;
  };
  if (first?.rule !== undefined && !takeValue(first.rule, first.name, 0)) return found;
  for (let at = text.indexOf("=", from); at >= 0; at = text.indexOf("=", Math.max(at + 1, from))) {
    const [wordStart, wordEnd] = wordBefore(text, from, at);
    const key = text.slice(wordStart, wordEnd);
    from = at + 1;
    const isLeading = wordStart === textStart;
    const rule = key === "" ? undefined : ruleFor(rules, key, section, isLeading);
    if (rule === undefined) continue;
    const start = skipBlanks(text, text[from] === ">" ? from + 1 : from, text.length);
    const before = embeddedSpans(text, unread, start);
    for (const span of before) found.push(span);
    // A word that is part of a secret names nothing.
    const isPlain = !before.some((span) => span.start < wordEnd && span.end > wordStart);
    if (!takeValue(rule, isPlain ? key : "password", start)) return found;
  }
  return found.concat(embeddedSpans(text, unread, text.length));
}

/** The word in front of an operator; step by step, for a line may be long and hostile. */
function wordBefore(line: string, from: number, operator: number): [start: number, end: number] {
  let end = trimBlanks(line, from, /[+!]/.test(line.charAt(operator - 1)) ? operator - 1 : operator);
  // `${PIN}" = "1234"` and `CONFBRIDGE(user,pin)=1234` of the dialplan.
  while (end > from && /[)\]}"']/.test(line.charAt(end - 1))) end--;
  let start = end;
  while (start > from && !/[\s;=>,([{"']/.test(line.charAt(start - 1))) start--;
  return [start, end];
}

function embeddedSpans(text: string, from: number, to: number): SecretSpan[] {
  const found: SecretSpan[] = [];
  let rest = text.slice(from, to);
  for (const { name, needs, pattern } of embedded) {
    if (!rest.includes(needs)) continue;
    const spans = [...rest.matchAll(pattern)].map(({ indices }) => {
      const [start, end] = indices?.[1] ?? [0, 0];
      return { start, end, name };
    });
    for (const { start, end } of spans) found.push({ start: from + start, end: from + end, name });
    rest = mask(rest, spans);
  }
  return found;
}

/** Those of the rules that are for a file. */
function rulesOf(file: string, rules: readonly SecretRule[]): SecretRule[] {
  const name = baseName(file);
  return rules.filter(({ files, paths }) => files?.test(name) !== false && paths?.test(file) !== false);
}

function ruleFor(
  rules: readonly SecretRule[],
  key: string,
  section?: SectionPlace,
  isLeading = true,
): SecretRule | undefined {
  return rules.find(
    (rule) =>
      (isLeading || rule.leading !== true) &&
      rule.key.test(key) &&
      !rule.except?.test(key) &&
      isIn(rule.section, section, section?.name) &&
      isIn(rule.type, section, section?.type),
  );
}

function isIn(
  wanted: Pattern | undefined,
  section: SectionPlace | undefined,
  actual: string | undefined,
): boolean {
  if (wanted === undefined) return true;
  return section !== undefined && (actual === undefined || wanted.test(actual));
}

function baseName(file: string): string {
  return file.slice(file.lastIndexOf("/") + 1);
}

/** In order, those that touch as one, without the blanks around them and without what is empty. */
function tidy(text: string, spans: readonly SecretSpan[]): SecretSpan[] {
  const tidied: SecretSpan[] = [];
  for (const { name, ...span } of [...spans].sort((a, b) => a.start - b.start)) {
    const end = trimBlanks(text, span.start, span.end);
    const start = skipBlanks(text, span.start, end);
    if (start === end) continue;
    const last = tidied.at(-1);
    if (last === undefined || start > last.end) tidied.push({ start, end, name });
    else tidied[tidied.length - 1] = { ...last, end: Math.max(last.end, end) };
  }
  return tidied;
}

function mask(text: string, spans: readonly SecretSpan[]): string {
  let masked = "";
  let from = 0;
  for (const { start, end } of [...spans].sort((a, b) => a.start - b.start)) {
    if (end <= from) continue;
    const visible = Math.max(from, start);
    masked += text.slice(from, visible) + "*".repeat(end - visible);
    from = end;
  }
  return masked + text.slice(from);
}
