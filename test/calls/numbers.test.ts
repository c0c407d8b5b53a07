import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import type { CallerFormat, NumberKind } from "../../calls/numbers.ts";
import { numberReader } from "../../calls/numbers.ts";

/** `dialled`: by an extension, behind the outside prefix where the country has one here. `trunk`: by the trunk's format. */
type Row = readonly [how: "dialled" | "trunk", number: string, expected: string];

interface Country {
  readonly outside?: string;
  readonly international?: string;
  readonly format?: CallerFormat;
  readonly rows: readonly Row[];
}

const extensions = ["_1XX", "2000", "_4[0-4]XX"];

/** The expected: E.164 with its country behind a blank, or the kind of what must stay as it is. */
const table: Record<string, Country> = {
  DE: {
    outside: "0",
    rows: [
      ["dialled", "101", "Extension"],
      ["dialled", "2000", "Extension"],
      ["dialled", "4123", "Extension"],
      ["dialled", "110", "Emergency"],
      ["dialled", "112", "Emergency"],
      ["dialled", "0112", "Emergency"],
      ["dialled", "0116117", "ShortCode"],
      ["dialled", "115", "Extension"],
      ["trunk", "115", "ShortCode"],
      ["dialled", "*97", "Feature"],
      ["dialled", "00301234567", "+49301234567 DE"],
      ["dialled", "001701234567", "+491701234567 DE"],
      ["dialled", "000491701234567", "+491701234567 DE"],
      ["dialled", "00043123456789", "+43123456789 AT"],
      ["dialled", "0*31#01701234567", "+491701234567 DE"],
      ["dialled", "+491701234567", "+491701234567 DE"],
      ["dialled", "04711", "Other"],
      ["dialled", "0123456", "Other"],
      ["trunk", "+491701234567", "+491701234567 DE"],
      ["trunk", "00491701234567", "+491701234567 DE"],
      ["trunk", "01701234567", "+491701234567 DE"],
      ["trunk", "0170/123 45-67", "+491701234567 DE"],
      ["trunk", "sip:+491701234567@example.net;user=phone", "+491701234567 DE"],
      ["trunk", "1234567", "Other"],
      ["trunk", "12345678", "Other"],
      ["trunk", "alice", "Other"],
      ["trunk", "4711", "Other"],
    ],
  },
  AT: {
    rows: [
      ["trunk", "01 234567890", "+431234567890 AT"],
      ["trunk", "06641234567", "+436641234567 AT"],
      ["trunk", "00436641234567", "+436641234567 AT"],
      ["trunk", "6641234567", "Other"],
      ["trunk", "4711", "Other"],
      ["dialled", "133", "Emergency"],
      ["dialled", "144", "Emergency"],
      ["trunk", "144", "Emergency"],
      ["dialled", "0800201234", "+43800201234 AT"],
    ],
  },
  CH: {
    rows: [
      ["dialled", "0446681800", "+41446681800 CH"],
      ["dialled", "0791234567", "+41791234567 CH"],
      ["dialled", "0041446681800", "+41446681800 CH"],
      ["dialled", "1414", "Emergency"],
      ["dialled", "0901123456", "+41901123456 CH"],
      ["trunk", "+423 2345678", "+4232345678 LI"],
    ],
  },
  FR: {
    rows: [
      ["dialled", "0612345678", "+33612345678 FR"],
      ["dialled", "01 42 68 53 00", "+33142685300 FR"],
      ["dialled", "0033142685300", "+33142685300 FR"],
      ["dialled", "0262306000", "+262262306000 RE"],
      ["dialled", "0690001234", "+590690001234 GP"],
      ["dialled", "0596391234", "+596596391234 MQ"],
      ["dialled", "3651 0612345678", "+33612345678 FR"],
      ["dialled", "15", "Emergency"],
      ["dialled", "3949", "ShortCode"],
      ["dialled", "118712", "ShortCode"],
      ["dialled", "12345", "Other"],
    ],
  },
  IT: {
    rows: [
      ["dialled", "0266123456", "+390266123456 IT"],
      ["dialled", "3331234567", "+393331234567 IT"],
      ["dialled", "00390266123456", "+390266123456 IT"],
      ["dialled", "+390266123456", "+390266123456 IT"],
      ["dialled", "800123456", "+39800123456 IT"],
      ["dialled", "0669812345", "+390669812345 VA"],
      ["dialled", "*67#3331234567", "+393331234567 IT"],
      ["dialled", "1500", "ShortCode"],
      ["dialled", "112", "Emergency"],
      ["trunk", "112", "Emergency"],
      ["trunk", "4455", "Other"],
    ],
  },
  ES: {
    rows: [
      ["dialled", "912345678", "+34912345678 ES"],
      ["dialled", "612345678", "+34612345678 ES"],
      ["dialled", "0034912345678", "+34912345678 ES"],
      ["dialled", "067912345678", "+34912345678 ES"],
      ["dialled", "900123456", "+34900123456 ES"],
      ["dialled", "091", "Emergency"],
      ["dialled", "061", "Emergency"],
      ["trunk", "91234567", "Other"],
      ["dialled", "11818", "ShortCode"],
      ["dialled", "00351211234567", "+351211234567 PT"],
    ],
  },
  PT: {
    rows: [
      ["dialled", "211234567", "+351211234567 PT"],
      ["dialled", "912345678", "+351912345678 PT"],
      ["dialled", "800123456", "+351800123456 PT"],
      ["dialled", "00351912345678", "+351912345678 PT"],
      ["dialled", "1414", "ShortCode"],
      ["trunk", "117", "Emergency"],
    ],
  },
  GB: {
    outside: "9",
    rows: [
      ["dialled", "999", "Emergency"],
      ["dialled", "9999", "Emergency"],
      ["dialled", "9112", "Emergency"],
      ["dialled", "902079460958", "+442079460958 GB"],
      ["dialled", "914102079460958", "+442079460958 GB"],
      ["dialled", "907400123456", "+447400123456 GB"],
      ["dialled", "90033142685300", "+33142685300 FR"],
      ["dialled", "02079460958", "+442079460958 GB"],
      ["dialled", "908001111", "National"],
      ["trunk", "08001111", "National"],
      ["trunk", "79460958", "Other"],
      ["trunk", "2079460958", "Other"],
      ["trunk", "01481256789", "+441481256789 GG"],
      ["trunk", "01624756789", "+441624756789 IM"],
      ["dialled", "9101", "ShortCode"],
      ["dialled", "9118118", "ShortCode"],
      ["trunk", "+442079460958", "+442079460958 GB"],
    ],
  },
  IE: {
    rows: [
      ["dialled", "012345678", "+35312345678 IE"],
      ["dialled", "0851234567", "+353851234567 IE"],
      ["dialled", "141 0851234567", "+353851234567 IE"],
      ["dialled", "00353851234567", "+353851234567 IE"],
      ["dialled", "999", "Emergency"],
      ["trunk", "2345678", "Other"],
    ],
  },
  NL: {
    rows: [
      ["dialled", "0201234567", "+31201234567 NL"],
      ["dialled", "0612345678", "+31612345678 NL"],
      ["dialled", "0031201234567", "+31201234567 NL"],
      ["dialled", "14020", "ShortCode"],
      ["dialled", "08001234567", "+318001234567 NL"],
      ["dialled", "0900123456", "+31900123456 NL"],
      ["dialled", "1888", "ShortCode"],
      ["trunk", "+32470123456", "+32470123456 BE"],
    ],
  },
  BE: {
    rows: [
      ["dialled", "025555555", "+3225555555 BE"],
      ["dialled", "0470123456", "+32470123456 BE"],
      ["dialled", "003225555555", "+3225555555 BE"],
      ["dialled", "080012345", "+3280012345 BE"],
      ["trunk", "101", "Emergency"],
      ["dialled", "1207", "ShortCode"],
    ],
  },
  LU: {
    rows: [
      ["dialled", "27123456", "+35227123456 LU"],
      ["dialled", "621123456", "+352621123456 LU"],
      ["dialled", "00352621123456", "+352621123456 LU"],
      ["dialled", "2712", "Other"],
      ["dialled", "12345", "ShortCode"],
    ],
  },
  DK: {
    rows: [
      ["dialled", "32123456", "+4532123456 DK"],
      ["dialled", "004532123456", "+4532123456 DK"],
      ["trunk", "4532123456", "+4532123456 DK"],
      ["trunk", "453212345", "Other"],
      ["trunk", "112", "Emergency"],
      ["trunk", "114", "Emergency"],
    ],
  },
  SE: {
    rows: [
      ["dialled", "08123456", "+468123456 SE"],
      ["dialled", "0701234567", "+46701234567 SE"],
      ["dialled", "#31#0701234567", "+46701234567 SE"],
      ["dialled", "0046701234567", "+46701234567 SE"],
      ["dialled", "1177", "ShortCode"],
      ["trunk", "11414", "Emergency"],
      ["trunk", "8123456", "Other"],
    ],
  },
  PL: {
    rows: [
      ["dialled", "123456789", "+48123456789 PL"],
      ["dialled", "512345678", "+48512345678 PL"],
      ["dialled", "0048512345678", "+48512345678 PL"],
      ["trunk", "997", "Emergency"],
      ["dialled", "19115", "ShortCode"],
    ],
  },
  US: {
    outside: "9",
    rows: [
      ["dialled", "911", "Emergency"],
      ["dialled", "9911", "Emergency"],
      ["dialled", "9411", "ShortCode"],
      ["dialled", "988", "ShortCode"],
      ["dialled", "912125551234", "+12125551234 US"],
      ["dialled", "92125551234", "+12125551234 US"],
      ["dialled", "12125551234", "+12125551234 US"],
      ["dialled", "9*672125551234", "+12125551234 US"],
      ["dialled", "*67 2125551234", "+12125551234 US"],
      ["dialled", "9011442079460958", "+442079460958 GB"],
      ["dialled", "5551234", "Other"],
      ["dialled", "95551234", "Other"],
      ["dialled", "*72", "Feature"],
      ["dialled", "96132345678", "+16132345678 CA"],
      ["dialled", "98005551234", "+18005551234 US"],
      ["trunk", "6132345678", "+16132345678 CA"],
      ["trunk", "+17875551234", "+17875551234 PR"],
      ["trunk", "12125551234", "+12125551234 US"],
      ["trunk", "2125551234", "+12125551234 US"],
      ["trunk", "0115511912345678", "+5511912345678 BR"],
      ["trunk", "5551234", "Other"],
    ],
  },
  CA: {
    format: "E164WithoutPlus",
    rows: [
      ["trunk", "16132345678", "+16132345678 CA"],
      ["trunk", "12125551234", "+12125551234 US"],
      ["trunk", "442079460958", "+442079460958 GB"],
      ["trunk", "+16132345678", "+16132345678 CA"],
      ["dialled", "6132345678", "+16132345678 CA"],
      ["dialled", "811", "ShortCode"],
      ["trunk", "6132345678", "Other"],
    ],
  },
  MX: {
    rows: [
      ["dialled", "5512345678", "+525512345678 MX"],
      ["dialled", "01 55 1234 5678", "+525512345678 MX"],
      ["dialled", "044 55 1234 5678", "+525512345678 MX"],
      ["dialled", "045 55 1234 5678", "+525512345678 MX"],
      ["dialled", "00 52 55 1234 5678", "+525512345678 MX"],
      ["trunk", "+52 1 55 1234 5678", "+525512345678 MX"],
      ["trunk", "+525512345678", "+525512345678 MX"],
      ["dialled", "911", "Emergency"],
      ["dialled", "*67 5512345678", "+525512345678 MX"],
      ["dialled", "0012125551234", "+12125551234 US"],
      ["trunk", "12345678", "Other"],
    ],
  },
  BR: {
    rows: [
      ["dialled", "0 41 11 91234-5678", "+5511912345678 BR"],
      ["dialled", "01191234 5678", "+5511912345678 BR"],
      ["dialled", "021 11 2345 6789", "+551123456789 BR"],
      ["trunk", "11912345678", "+5511912345678 BR"],
      ["dialled", "0021 1 212 555 1234", "+12125551234 US"],
      ["dialled", "9090 11 91234 5678", "Other"],
      ["dialled", "912345678", "Other"],
      ["dialled", "23456789", "Other"],
      ["dialled", "190", "Emergency"],
      ["trunk", "190", "Emergency"],
      ["dialled", "40041234", "National"],
      ["dialled", "08007771234", "+558007771234 BR"],
      ["trunk", "+5511912345678", "+5511912345678 BR"],
    ],
  },
  AR: {
    rows: [
      ["dialled", "011 15 2345 6789", "+5491123456789 AR"],
      ["dialled", "0351 15 412 3456", "+5493514123456 AR"],
      ["dialled", "011 4123 4567", "+541141234567 AR"],
      ["dialled", "00 54 9 11 2345 6789", "+5491123456789 AR"],
      ["dialled", "41234567", "Other"],
      ["dialled", "0351 15", "Other"],
      ["dialled", "911", "Emergency"],
      ["trunk", "1141234567", "+541141234567 AR"],
      ["trunk", "+5491123456789", "+5491123456789 AR"],
    ],
  },
  UY: {
    rows: [
      ["dialled", "094231234", "+59894231234 UY"],
      ["dialled", "21231234", "+59821231234 UY"],
      ["dialled", "2123", "Other"],
      ["dialled", "0059894231234", "+59894231234 UY"],
      ["dialled", "911", "Emergency"],
    ],
  },
  AU: {
    outside: "0",
    rows: [
      ["dialled", "000", "Emergency"],
      ["dialled", "0000", "Emergency"],
      ["dialled", "00212345678", "+61212345678 AU"],
      ["dialled", "00412345678", "+61412345678 AU"],
      ["dialled", "0183100412345678", "Other"],
      ["dialled", "018310412345678", "+61412345678 AU"],
      ["dialled", "00011442079460958", "+442079460958 GB"],
      ["dialled", "131126", "ShortCode"],
      ["dialled", "01800123456", "+611800123456 AU"],
      ["trunk", "0412345678", "+61412345678 AU"],
      ["trunk", "12345678", "Other"],
    ],
  },
  IN: {
    rows: [
      ["dialled", "09876543210", "+919876543210 IN"],
      ["trunk", "9876543210", "+919876543210 IN"],
      ["trunk", "+919876543210", "+919876543210 IN"],
      ["trunk", "1400123456", "National"],
      ["trunk", "1600123456", "National"],
      ["trunk", "108", "Emergency"],
      ["dialled", "00919876543210", "+919876543210 IN"],
      ["dialled", "01123456789", "+911123456789 IN"],
    ],
  },
  JP: {
    rows: [
      ["dialled", "0312345678", "+81312345678 JP"],
      ["dialled", "09012345678", "+819012345678 JP"],
      ["dialled", "184 0312345678", "+81312345678 JP"],
      ["dialled", "010 1 212 555 1234", "+12125551234 US"],
      ["trunk", "119", "Emergency"],
      ["trunk", "12345678", "Other"],
    ],
  },
  CN: {
    rows: [
      ["dialled", "13800138000", "+8613800138000 CN"],
      ["dialled", "01065529988", "+861065529988 CN"],
      ["dialled", "65529988", "Other"],
      ["dialled", "95588", "ShortCode"],
      ["dialled", "4008123123", "+864008123123 CN"],
      ["trunk", "110", "Emergency"],
      ["dialled", "008613800138000", "+8613800138000 CN"],
    ],
  },
  ZA: {
    international: "09",
    rows: [
      ["dialled", "0101234567", "+27101234567 ZA"],
      ["dialled", "0711234567", "+27711234567 ZA"],
      ["dialled", "0027711234567", "+27711234567 ZA"],
      ["dialled", "09442079460958", "+442079460958 GB"],
      ["dialled", "10111", "Emergency"],
      ["trunk", "+27711234567", "+27711234567 ZA"],
    ],
  },
};

const rows = Object.entries(table).flatMap(([country, { rows, ...settings }]) =>
  rows.map(([how, number, expected]) => ({ country, how, number, expected, ...settings })),
);

test("the table is as large as it has to be", () => {
  expect(rows.length).toBeGreaterThanOrEqual(200);
  expect(Object.keys(table).length).toBeGreaterThanOrEqual(20);
});

describe("local form to E.164", () => {
  test.each(rows)(
    "$country, $how: $number is $expected",
    ({ country, how, number, expected, outside, international, format }) => {
      const reader = numberReader({
        country,
        extensions,
        outsidePrefix: outside,
        internationalPrefix: international,
        callerFormat: format ?? "National",
      });
      const read = how === "dialled" ? reader.dialled(number) : reader.onTrunk(number);
      const is = read.kind === "E164" ? `${read.e164} ${read.country}` : read.kind;
      expect(is).toBe(expected);
      // What it was is never lost, and only E164 has an E.164 number.
      expect(read.number).toBe(number);
      expect(read.e164 === null).toBe(read.kind !== "E164");
    },
  );
});

test("a trunk that sends E.164 without a plus is declared, for the digits don't tell", () => {
  const number = "4915112345678";
  const read = (callerFormat: CallerFormat) =>
    numberReader({ country: "DE", extensions: [], callerFormat }).onTrunk(number).e164;
  expect([read("E164WithoutPlus"), read("National"), read("International")]).toEqual([
    "+4915112345678",
    null,
    null,
  ]);
});

test("International reads only what says that it is", () => {
  const reader = numberReader({ country: "DE", extensions: [], callerFormat: "International" });
  expect(reader.onTrunk("00491701234567").e164).toBe("+491701234567");
  expect(reader.onTrunk("+491701234567").e164).toBe("+491701234567");
  expect(reader.onTrunk("01701234567")).toEqual({
    number: "01701234567",
    e164: null,
    kind: "Other",
    country: null,
  });
});

test("without a country only numbers with a plus have an E.164 form", () => {
  const reader = numberReader({ extensions: [], callerFormat: "National" });
  expect(reader.onTrunk("+442079460958").e164).toBe("+442079460958");
  expect(reader.onTrunk("02079460958").kind).toBe("Other");
  expect(reader.dialled("112").kind).toBe("Emergency");
});

test("a caller from outside who shows one of our extensions is not one", () => {
  const reader = numberReader({ country: "DE", extensions: ["_1XX"], callerFormat: "National" });
  expect(reader.onTrunk("101").kind).toBe("Other" satisfies NumberKind);
  expect(reader.asked("101").kind).toBe("Extension" satisfies NumberKind);
});

test.each([undefined, "", "<unknown>", "s"])("%p is no number", (text) => {
  const reader = numberReader({ country: "DE", extensions: ["_X."], callerFormat: "National" });
  expect([reader.dialled(text).kind, reader.onTrunk(text).kind, reader.asked(text).kind]).toEqual([
    "None",
    "None",
    "None",
  ]);
});

test("whatever comes in, nothing below seven digits becomes E.164, and what does is E.164", () => {
  const text = fc.oneof(fc.string({ maxLength: 30 }), fc.stringMatching(/^[+0]{0,3}[0-9*# -]{0,20}$/));
  fc.assert(
    fc.property(text, fc.constantFrom(...Object.keys(table)), (number, country) => {
      const reader = numberReader({
        country,
        extensions: ["_1XX"],
        outsidePrefix: "0",
        callerFormat: "National",
      });
      for (const read of [reader.dialled(number), reader.onTrunk(number), reader.asked(number)]) {
        if (read.e164 === null) continue;
        expect(read.e164).toMatch(/^\+[1-9]\d{6,14}$/);
        expect(number.replace(/\D/g, "").length).toBeGreaterThanOrEqual(7);
      }
    }),
  );
});
