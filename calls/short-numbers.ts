/**
 * Numbers that mean something only inside one country: emergency numbers and short codes, the prefixes that hide the
 * caller, and full-length numbers that cannot be reached from abroad. Sources: the national numbering plans as published
 * by the regulators and in ITU-T's national numbering plans; libphonenumber's own short number data is in no package.
 */

interface ShortNumbers {
  readonly emergency: readonly string[];
  /** Whole numbers, without the outside prefix. */
  readonly codes: RegExp;
}

/** The harmonised numbers of the European Union: 112, 116xxx, and 118xx(x) for directory inquiries. */
function european(emergency: readonly string[], others = "(?!)"): ShortNumbers {
  return { emergency: ["112", ...emergency], codes: new RegExp(`^(116\\d{3}|118\\d{1,3}|${others})$`) };
}

const northAmerica: ShortNumbers = { emergency: ["911", "112"], codes: /^([2-8]11|988|933|0|00)$/ };

const numbers: Readonly<Record<string, ShortNumbers>> = {
  AR: { emergency: ["911", "100", "101", "107", "112"], codes: /^(1[0-4]\d|110|1[6-9]\d{1,2}|0800)$/ },
  AT: european(["122", "128", "133", "140", "141", "142", "144"], "1[0-5]\\d{1,2}|11[0-9]\\d{2,3}"),
  AU: {
    emergency: ["000", "112", "106"],
    codes: /^(1[23]\d{4}|12\d{2}|131\d{3}|19[46]|1[0-2]\d{2}|101|102)$/,
  },
  BE: european(["100", "101"], "1[0-9]\\d{2}|10[2-9]|110"),
  BR: {
    emergency: ["190", "191", "192", "193", "194", "199", "112", "911"],
    codes: /^(1\d{2}|10[356]\d{2})$/,
  },
  CA: northAmerica,
  CH: european(["117", "118", "144", "1414", "1415"], "14[0-9]|145|147|1[678]\\d{1,2}|18\\d{2}"),
  CN: {
    emergency: ["110", "119", "120", "122"],
    codes: /^(1\d{2}|100\d{2}|12\d{3}|11[468]\d{2}|9[56]\d{3,6})$/,
  },
  CZ: european(["150", "155", "156", "158"], "1[2-4]\\d{2,3}|1188"),
  DE: european(["110"], "115|19222|1180[0-9]|118[1-9]\\d{1,2}|010\\d{2,3}"),
  DK: european(["114"], "1\\d{2}|18\\d{2}|181[0-9]"),
  ES: european(
    ["061", "062", "080", "085", "088", "091", "092"],
    "0\\d{2,3}|1[0-5]\\d{1,3}|118\\d{2}|16\\d{1}|02\\d",
  ),
  FI: european([], "100\\d{2}|10\\d{3}|118|020202"),
  FR: european(
    ["15", "17", "18", "114", "115", "119", "191", "196", "197"],
    "10\\d{2}|3\\d{3}|1[0-9]|118\\d{3}",
  ),
  GB: european(["999"], "10[015]|111|119|123|14\\d{2,3}|15[0-9]|159|118\\d{3}|195"),
  IE: european(["999"], "1[0-9]\\d{2}|119\\d{2}|50\\d{3}"),
  IN: { emergency: ["100", "101", "102", "108", "112"], codes: /^(1\d{2,3}|155\d{3}|1[01]9[0-9])$/ },
  IT: european(
    ["113", "115", "117", "118", "1515", "1530"],
    "1\\d{2}|1[0-9]\\d{2}|12\\d{2,3}|4\\d{4}|19[0-9]",
  ),
  JP: { emergency: ["110", "118", "119"], codes: /^(1\d{2}|171|#\d{4})$/ },
  LU: european(["113"], "1[2-8]\\d{3}|12\\d{2}"),
  MX: {
    emergency: ["911", "060", "065", "066", "068", "089"],
    codes: /^(0[2-9]0|0[34]1|07[0-9]|088|\*\d{3})$/,
  },
  NL: european(["911"], "14\\d{3,4}|144|18\\d{2}|12\\d{2}"),
  NO: european(["110", "113"], "1[0-9]\\d{1,4}|0\\d{4}"),
  PL: european(["997", "998", "999"], "9\\d{2,3}|19\\d{3}|118\\d{3}"),
  PT: european(["115", "117"], "1[0-9]\\d{1,4}|808|16\\d{2,3}"),
  SE: european(["11414"], "90\\d{3}|1177|113\\d{2}|118\\d{3}"),
  US: northAmerica,
  UY: { emergency: ["911", "104", "105", "112"], codes: /^1\d{2,3}$/ },
  ZA: { emergency: ["10111", "10177", "112", "107"], codes: /^(1\d{2}|10\d{3}|11[2-9])$/ },
};

/** Where the country is not known to the table: what mobile phones everywhere take for an emergency call. */
const anywhere: ShortNumbers = { emergency: ["112", "911"], codes: /^(?!)$/ };

/** Whether whole digits are an emergency number or a short code of the country. */
export function shortNumber(
  country: string | undefined,
  digits: string,
): "Emergency" | "ShortCode" | undefined {
  const { emergency, codes } = numbers[country ?? ""] ?? anywhere;
  if (emergency.includes(digits)) return "Emergency";
  return codes.test(digits) ? "ShortCode" : undefined;
}

/** Prefixes that show or hide the caller's number for one call. */
const identityPrefixes: Readonly<Record<string, RegExp>> = {
  AU: /^(1831|1832)/,
  CA: /^(\*67|\*82|1167|1182)/,
  ES: /^067(?=\d{9})/,
  FR: /^(3651|\*31#|#31#)/,
  GB: /^(141|1470)/,
  HK: /^13[13]/,
  IE: /^(141|142)/,
  IT: /^(\*67#|#31#|\*31#)/,
  JP: /^(184|186)(?=0)/,
  MX: /^\*67/,
  NZ: /^019[67]/,
  US: /^(\*67|\*82|1167|1182)/,
};
const anyIdentityPrefix = /^(\*31#|#31#|\*31\*|\*67)/;

/** The number behind a prefix that shows or hides the caller; the number itself where there is none. */
export function withoutIdentityPrefix(country: string | undefined, digits: string): string {
  return digits
    .replace(identityPrefixes[country ?? ""] ?? anyIdentityPrefix, "")
    .replace(anyIdentityPrefix, "");
}

/** Valid numbers of full length that cannot be dialled from abroad, by what stands behind the country code. */
const nationalOnly: Readonly<Record<string, RegExp>> = {
  BR: /^(4004|4003|3003)\d{4}$/,
  GB: /^(8001111|84546(4\d|47))$/,
  IN: /^(140\d{7}|1600\d{6}|1800\d{6,7}|1860\d{7})$/,
  NL: /^14\d{3,}$/,
};

/** Whether a valid number has no meaning outside its country. */
export function isNationalOnly(country: string | undefined, nationalNumber: string): boolean {
  return nationalOnly[country ?? ""]?.test(nationalNumber) === true;
}

const overseas = [
  [/^0(26[239]|639|69[23])/, "262"],
  [/^0(590|69[01])/, "590"],
  [/^0[56]94/, "594"],
  [/^0(596|69[67])/, "596"],
] as const;

/** Rewrites what libphonenumber does not know of a country's dialling habits, past and present. */
export function rewriteDialled(country: string | undefined, digits: string): string {
  if (country === "MX") {
    // Until 2019: 01 for trunk calls, 044 and 045 for mobiles, +52 1 for mobiles from abroad.
    return digits.replace(/^(\+|00)521(?=\d{10}$)/, "+52").replace(/^(01|04[45])(?=\d{10}$)/, "");
  }
  // France dials its overseas departments like its own regions; they have country codes of their own.
  if (country === "FR" && /^0\d{9}$/.test(digits)) {
    const own = overseas.find(([numbers]) => numbers.test(digits));
    if (own !== undefined) return `+${own[1]}${digits.slice(1)}`;
  }
  return digits.replace(/^\+521(?=\d{10}$)/, "+52");
}
