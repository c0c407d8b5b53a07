import { skipBlanks, trimBlanks } from "./text.ts";

/**
 * Which variables of a .conf file hold a secret. Names are matched without regard to case and, unless a rule
 * names files, in every file: what is masked once too often does no harm.
 */
export interface SecretRule {
  /** The files (base names) that the rule is for; all without it. */
  readonly files?: RegExp;
  readonly key: RegExp;
  /** Keys that `key` matches and that hold no secret. */
  readonly except?: RegExp;
  /** The secret's part of the value as its first capture group, with indices; without it the whole value. */
  readonly part?: RegExp;
}

/** The rules for Asterisk's own files; append to them where a distribution or module has more. */
export const secretRules: readonly SecretRule[] = [
  // manager, pjsip auth, iax, sip, users, ari, http clients, calendars, xmpp, ldap, databases (res_odbc, cdr_*, cel_*, dbsep) …
  {
    key: /secret|passw|passphrase|pass$|pwd|token|_cred$|credential|api_?key/i,
    except: /^(secretpath|externpass|minpassword|passwordlocation|password_?format|.*calltoken.*)$/i,
  },
  // confbridge, minivm, queue agents
  { key: /^((user|admin)?_?pin(code)?)$/i },
  // voicemail: `1234 => PIN,Name,e-mail` (its fragments go by any name)
  { key: /^\d+$/, part: /^([^,]*)/d },
  { files: /^meetme/i, key: /^conf$/i, part: /^[^,]*,(.*)/d },
  { files: /^agents/i, key: /^agent$/i, part: /^[^,]*,([^,]*)/d },
  // sip, iax: `register => user:secret@host`, `auth = user:secret@realm`
  { key: /^(register|auth)$/i, part: /^[^:@]*:(.*)@/d },
];

/** The secrets that stand inside a value whatever its key: a URL's password, a dialplan application's. */
const embedded = [
  /\b(?:IAX2|SIP)\/[^\s:/@,&)]*:([^\s@]*)@/dgi,
  /:\/\/[^\s:/@]{0,200}:([^\s@]{0,1000})@/dg,
  /\b(?:VM)?(?:Authenticate|DISA)\(([^,)]*)/dgi,
];

/** Whether the value of `key` in `file` (a path) holds a secret, in whole or in part. */
export function isSecretKey(file: string, key: string, rules: readonly SecretRule[] = secretRules): boolean {
  return ruleFor(file, key, rules) !== undefined;
}

/** The value with each byte of its secrets as `*`: its length stays, so that columns do too. */
export function maskValue(
  file: string,
  key: string,
  value: string,
  rules: readonly SecretRule[] = secretRules,
): string {
  const rule = ruleFor(file, key, rules);
  if (!rule) return maskEmbedded(value);
  if (!rule.part) return stars(value.length);
  const span = rule.part.exec(value)?.indices?.[1];
  return maskEmbedded(span ? maskSpan(value, span) : value);
}

/**
 * A line of a .conf file as it stands, comments too, with its secrets masked byte for byte. Behind the operator
 * of a secret variable everything is masked: where the value ends is not worth a mistake.
 */
export function maskLine(file: string, line: string, rules: readonly SecretRule[] = secretRules): string {
  let from = 0;
  for (let at = line.indexOf("="); at >= 0; at = line.indexOf("=", at + 1)) {
    const key = keyBefore(line, from, at);
    from = at + 1;
    if (key === "" || !isSecretKey(file, key, rules)) continue;
    const arrow = line[from] === ">" ? from + 1 : from;
    const start = skipBlanks(line, arrow, line.length);
    return maskEmbedded(line.slice(0, start)) + maskValue(file, key, line.slice(start), rules);
  }
  return maskEmbedded(line);
}

/** The word in front of an operator; step by step, for a line may be long and hostile. */
function keyBefore(line: string, from: number, operator: number): string {
  const end = trimBlanks(line, from, line[operator - 1] === "+" ? operator - 1 : operator);
  let start = end;
  while (start > from && !/[\s;=,([]/.test(line.charAt(start - 1))) start--;
  return line.slice(start, end);
}

/** The same with eight stars for each secret: where columns do not matter, its length is nobody's business either. */
export function hideSecrets(file: string, line: string, rules: readonly SecretRule[] = secretRules): string {
  const masked = maskLine(file, line, rules);
  return masked.replace(/\*+/g, (run, at: number) =>
    line.slice(at, at + run.length) === run ? run : "********",
  );
}

function ruleFor(file: string, key: string, rules: readonly SecretRule[]): SecretRule | undefined {
  const name = file.slice(file.lastIndexOf("/") + 1);
  return rules.find(
    (rule) =>
      rule.key.test(key) && !rule.except?.test(key) && (rule.files === undefined || rule.files.test(name)),
  );
}

function maskEmbedded(text: string): string {
  let masked = text;
  for (const pattern of embedded) {
    for (const match of masked.matchAll(pattern)) {
      const span = match.indices?.[1];
      if (span) masked = maskSpan(masked, span);
    }
  }
  return masked;
}

function maskSpan(text: string, [start, end]: [number, number]): string {
  return text.slice(0, start) + stars(end - start) + text.slice(end);
}

function stars(length: number): string {
  return "*".repeat(length);
}
