import { Metadata, parsePhoneNumberFromString } from "libphonenumber-js/max";
import type { CountryCode } from "libphonenumber-js/max";
import { matchesExtension } from "../core/extension-pattern.ts";
import { isNationalOnly, rewriteDialled, shortNumber, withoutIdentityPrefix } from "./short-numbers.ts";

/**
 * What a number is. `E164`: it has one, and `e164` holds it. `National`: valid, but only inside its country. `Extension`,
 * `Emergency`, `ShortCode`, `Feature` (a star code): it stays what it is. `Withheld`: the caller hides it. `None`: there is
 * none. `Other`: no rule makes an E.164 number of it, and none is guessed.
 */
export type NumberKind =
  "E164" | "National" | "Extension" | "Emergency" | "ShortCode" | "Feature" | "Withheld" | "None" | "Other";

/** A number as it stood, and what it means. */
export interface ReadNumber {
  /** As Asterisk had it; null where there is none, or where it is withheld. */
  readonly number: string | null;
  /** With `+`, digits only; null where the number has none. */
  readonly e164: string | null;
  readonly kind: NumberKind;
  /** ISO 3166 code of the number's country, which need not be the server's; null for numbers of no one country. */
  readonly country: string | null;
}

/** How callers' numbers come in over the trunks. */
export type CallerFormat = "National" | "E164WithoutPlus" | "International";

/** What the declaration says about numbers; `country` is ISO 3166. */
export interface NumberPlan {
  readonly country?: string | undefined;
  /** Digits, or patterns as the dialplan has them (`_2XX`). */
  readonly extensions: readonly string[];
  /** What extensions dial before a number outside. */
  readonly outsidePrefix?: string | undefined;
  /** What extensions dial before a country code, where it is not the country's own. */
  readonly internationalPrefix?: string | undefined;
  readonly callerFormat: CallerFormat;
}

/** Reads numbers by the place where they stood. All three give `None` for what is empty. */
export interface NumberReader {
  readonly isExtension: (number: string) => boolean;
  /** What somebody on the inside dialled. */
  readonly dialled: (text: string | undefined) => ReadNumber;
  /** What a trunk's caller asked for: an extension, or a number in the trunk's format. */
  readonly asked: (text: string | undefined) => ReadNumber;
  /** A caller's number, or a number sent out, as it stood on a trunk. */
  readonly onTrunk: (text: string | undefined) => ReadNumber;
}

/** Nothing shorter is taken for a number of the public network: extensions and short codes would collide with it. */
const fewestDigits = 7;

export const noNumber: ReadNumber = { number: null, e164: null, kind: "None", country: null };
export const withheldNumber: ReadNumber = { number: null, e164: null, kind: "Withheld", country: null };

/** The reader for one server. Pure; about 20 µs a number. */
export function numberReader(plan: NumberPlan): NumberReader {
  const country = plan.country as CountryCode | undefined;
  const isExtension = (number: string): boolean =>
    plan.extensions.some((pattern) => matchesExtension(pattern, number));
  const own = (text: string): ReadNumber | undefined => {
    // As in the dialplan, a pattern gives way to whole digits: _1XX does not make an extension of 112.
    if (plan.extensions.includes(text)) return stays(text, "Extension");
    const kind = shortNumber(country, text);
    if (kind === "Emergency") return stays(text, kind);
    return isExtension(text) ? stays(text, "Extension") : kind && stays(text, kind);
  };
  const inCountry = (text: string, digits: string): ReadNumber | undefined =>
    publicNumber(text, digits, country);

  const dialled = (text: string): ReadNumber => {
    const whole = plain(text);
    const inside = own(whole);
    if (inside !== undefined) return { ...inside, number: text };
    const { outsidePrefix, internationalPrefix } = plan;
    const hasPrefix = outsidePrefix !== undefined && whole.startsWith(outsidePrefix);
    const outside = hasPrefix ? [whole.slice(outsidePrefix.length), whole] : [whole];
    for (const candidate of outside) {
      const kind = shortNumber(country, candidate);
      if (kind !== undefined) return stays(text, kind);
      const shown = withoutIdentityPrefix(country, candidate);
      const behind = shown === candidate ? undefined : shortNumber(country, shown);
      if (behind !== undefined) return stays(text, behind);
      const digits =
        internationalPrefix !== undefined && shown.startsWith(internationalPrefix)
          ? `+${shown.slice(internationalPrefix.length)}`
          : shown;
      const read = inCountry(text, digits);
      if (read !== undefined) return read;
    }
    return stays(text, /^[*#]/.test(whole) ? "Feature" : "Other");
  };

  const onTrunk = (text: string): ReadNumber => {
    const digits = plain(text);
    const kind = shortNumber(country, digits);
    if (kind !== undefined) return stays(text, kind);
    return inCountry(text, inTrunkFormat(digits, plan.callerFormat, country)) ?? stays(text, "Other");
  };

  const orNone =
    (read: (text: string) => ReadNumber) =>
    (text: string | undefined): ReadNumber =>
      isEmpty(text) ? noNumber : read(text);
  return {
    isExtension,
    dialled: orNone(dialled),
    asked: orNone((text) => {
      const inside = isExtension(plain(text)) ? stays(text, "Extension") : undefined;
      return inside ?? onTrunk(text);
    }),
    onTrunk: orNone(onTrunk),
  };
}

/** What Asterisk prints where there is no number. */
export function isEmpty(text: string | undefined): text is undefined {
  return (
    text === undefined || text === "" || text === "<unknown>" || text === "s" || text === "h" || text === "i"
  );
}

/** The digits that were dialled: no separators, no `sip:` or `tel:`, nothing behind a pause. */
function plain(text: string): string {
  const [number = ""] = text
    .trim()
    .replace(/^(sips?|tel):/i, "")
    .split(/[@;,]/);
  return number.replace(/[\s().\-/\u00a0\u2010-\u2015]/g, "").replace(/(?<=\d)[wWpP].*$/, "");
}

function stays(number: string, kind: NumberKind): ReadNumber {
  return { number, e164: null, kind, country: null };
}

/** The number as `publicNumber` reads it rightly: with a plus, or as dialled within the country. */
function inTrunkFormat(digits: string, format: CallerFormat, country: CountryCode | undefined): string {
  if (format === "National" || digits.startsWith("+")) return digits;
  const isBare = !/^0/.test(digits) && !startsInternational(digits, country);
  if (format === "E164WithoutPlus") return isBare ? `+${digits}` : digits;
  return startsInternational(digits, country) ? digits : "";
}

function startsInternational(digits: string, country: CountryCode | undefined): boolean {
  if (country === undefined) return false;
  return new RegExp(`^(?:${numberingPlan(country).IDDPrefix()})`).test(digits);
}

/** The number in E.164 where it is a valid one; `undefined` where it is not, and nothing is guessed. */
function publicNumber(
  text: string,
  dialled: string,
  country: CountryCode | undefined,
): ReadNumber | undefined {
  const digits = rewriteDialled(country, dialled);
  if (!/^\+?\d+$/.test(digits) || digits.replace("+", "").length < fewestDigits) return undefined;
  if (country === undefined && !digits.startsWith("+")) return undefined;
  const options = { extract: false, ...(country === undefined ? {} : { defaultCountry: country }) };
  const parsed = parsePhoneNumberFromString(digits, options);
  if (parsed?.isValid() !== true) return undefined;
  const isFixed = /^(FIXED_LINE|FIXED_LINE_OR_MOBILE)$/.test(parsed.getType() ?? "FIXED_LINE");
  const needsPrefix = country !== undefined && (isFixed || !othersWithoutPrefix.has(country));
  if (needsPrefix && isLocal(digits, parsed.countryCallingCode, country)) return undefined;
  const found = parsed.country ?? null;
  return isNationalOnly(parsed.country, parsed.nationalNumber)
    ? { number: text, e164: null, kind: "National", country: found }
    : { number: text, e164: parsed.number, kind: "E164", country: found };
}

/** Where numbers that are no fixed lines' are dialled without the trunk prefix. Italy's 0 belongs to the number. */
const othersWithoutPrefix: ReadonlySet<string> = new Set(["CN", "IT", "KR", "SM", "VA"]);

/**
 * Whether digits may be a subscriber's number without its area code: the country has a trunk prefix, they do not begin
 * with it, and its numbers have no one length that would tell. libphonenumber takes them for whole numbers.
 */
function isLocal(digits: string, callingCode: string, country: CountryCode): boolean {
  if (digits.startsWith("+") || startsInternational(digits, country)) return false;
  const plan = numberingPlan(country);
  const prefix = plan.nationalPrefix();
  if (plan.callingCode() !== callingCode || typeof prefix !== "string" || digits.startsWith(prefix))
    return false;
  const lengths = plan.type("FIXED_LINE")?.possibleLengths() ?? plan.possibleLengths();
  return lengths.length > 1;
}

interface NumberingPlan {
  callingCode(): string;
  IDDPrefix(): string;
  nationalPrefix(): string | null | undefined;
  possibleLengths(): readonly number[];
  type(name: string): { possibleLengths(): readonly number[] } | undefined;
}

const plans = new Map<CountryCode, NumberingPlan>();

function numberingPlan(country: CountryCode): NumberingPlan {
  const known = plans.get(country);
  if (known !== undefined) return known;
  const metadata = new Metadata();
  metadata.selectNumberingPlan(country);
  // The package's types leave most of what a plan tells out.
  const plan = metadata.numberingPlan as unknown as NumberingPlan;
  plans.set(country, plan);
  return plan;
}
