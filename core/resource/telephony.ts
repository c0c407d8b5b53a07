import type { CountryCode } from "libphonenumber-js/max";
import metadata from "libphonenumber-js/metadata.min";
import { z } from "zod";
import { extensionPattern } from "../extension-pattern.ts";
import { secretReference } from "./common.ts";
import { interval } from "./duration.ts";
import { withRules } from "./rules.ts";

/** The zone of a server's clock. The API server asks Go's own table of zones, `parse` that of JavaScript. */
const timeZone = withRules(
  z
    .string()
    .max(64)
    .regex(/^[A-Z][A-Za-z0-9_+-]*(\/[A-Za-z0-9_+-]+){0,2}$/, {
      error: "is not the name of a time zone such as Europe/Berlin",
      abort: true,
    }),
  {
    message: "is no time zone of the IANA database",
    holds: isTimeZone,
    cel: "timestamp('2026-01-01T00:00:00Z').getHours(self) >= 0",
  },
);

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}

/** As `getCountries` has them, which is loaded with all of the library; every command loads this. */
const countries = Object.keys(metadata.countries) as CountryCode[];

const dialled = z.string().regex(/^[0-9*#]{1,8}$/, "is not a prefix of digits, * and #");

const numbers = z.strictObject({
  extensions: z
    .array(
      z
        .string()
        .max(128)
        .regex(extensionPattern, "is not an extension such as 100 or a pattern such as _2XX"),
    )
    .max(256)
    .default([])
    .describe(
      "The server's own extensions, as digits or as patterns of the dialplan; they never become E.164.",
    ),
  trunks: z
    .array(
      z
        .string()
        .max(128)
        .regex(/^[A-Za-z0-9]+\/[^\s*]+$/, "is not an endpoint such as PJSIP/carrier"),
    )
    .max(256)
    .default([])
    .describe(
      "The endpoints that lead outside, such as PJSIP/carrier. Without any, endpoints named after an extension are inside.",
    ),
  outsidePrefix: dialled.optional().describe("What extensions dial before a number outside, such as 0 or 9."),
  internationalPrefix: dialled
    .optional()
    .describe("What extensions dial before a country code, where it is not the country's own."),
  callerFormat: z
    .enum(["National", "E164WithoutPlus", "International"])
    .default("National")
    .describe(
      "How numbers without a + come in over the trunks: as dialled within the country, as country code and number, or " +
        "always with the international prefix.",
    ),
});

/** What an AsteriskServer says about its calls. */
export const telephonyFields = {
  country: z
    .enum(countries)
    .optional()
    .describe(
      "ISO 3166 code of the country whose numbers are dialled there, such as DE: with it they become E.164.",
    ),
  timeZone: timeZone
    .optional()
    .describe(
      "The zone of the server's clock, such as Europe/Berlin. Default: UTC, and what the server says is reported.",
    ),
  numbers: numbers
    .prefault({})
    .describe("How numbers are dialled on the server and come in over its trunks."),
  calls: z
    .strictObject({
      credentialsSecretRef: secretReference.describe(
        "`username` and `password` of the AMI account that reads calls.",
      ),
    })
    .optional()
    .describe(
      "How calls are read. Default: the Secret <name>-calls, as `bootstrap --calls` makes it; the operator reads calls only with it.",
    ),
  onActiveCalls: z
    .enum(["Proceed", "Wait"])
    .default("Proceed")
    .describe(
      "What a write that Asterisk has to reload does while calls are up: goes ahead, or waits for their end.",
    ),
  activeCallsTimeout: interval
    .default("10m")
    .describe(
      "How long Wait waits, from 1s to 24h; after that nothing is written, and the next run waits again.",
    ),
};
