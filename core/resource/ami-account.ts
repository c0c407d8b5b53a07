import { z } from "zod";
import { permissionClasses } from "../conf/lint/permissions.ts";
import { addressProblem, eventFilterProblem, textProblem, variableProblem } from "./ami-account-fields.ts";
import {
  apiVersion,
  deletionPolicy,
  metadata,
  ownedPath,
  secretKeyReference,
  serverReference,
} from "./common.ts";
import { duration, milliseconds } from "./duration.ts";
import { addressRules, maxText, notEmptyRule, textRules, variableNameRule } from "./ami-account-rules.ts";
import type { CELRule } from "./rules.ts";
import { immutable, withCEL, withRules } from "./rules.ts";

/** AMI's class names, as `read` and `write` take them; get_perm of main/manager.c knows no others. */
export const AMIClasses = permissionClasses;

/** The longest name that Asterisk keeps of a section, in bytes. */
const longestName = 79;

/** An include's buffer has 255 bytes, the configuration directory among them. */
const longestPath = 200;

const username = withRules(
  z
    .string()
    .max(longestName, "has more than 79 characters: Asterisk would cut it")
    .regex(
      /^[A-Za-z0-9_][A-Za-z0-9_.@+-]*$/,
      "is not an account's name: letters, digits and . _ - @ + are, beginning with a letter, a digit or _",
    ),
  {
    message: "is the name of AMI's own settings, not of an account",
    holds: (name) => name.toLowerCase() !== "general",
    cel: "self.lowerAscii() != 'general'",
  },
);

const classes = withRules(
  z
    .array(
      z.enum(AMIClasses, {
        error: (issue) =>
          `${JSON.stringify(issue.input)} is not a class of AMI, which are ${AMIClasses.join(", ")}; each is an entry of its own`,
      }),
    )
    .max(AMIClasses.length)
    .refine((names) => new Set(names).size === names.length, "names a class twice"),
  {
    message: "names `none` beside other classes",
    holds: (names) => names.length < 2 || !names.includes("none"),
    cel: "self.size() < 2 || !('none' in self)",
  },
)
  .meta({ "x-kubernetes-list-type": "set" })
  .default([]);

/** A string of which `problemOf` says why Asterisk would misread it. */
function checked(problemOf: (text: string) => string | undefined, rules: readonly CELRule[]) {
  const text = z.string().superRefine((text, context) => {
    const message = problemOf(text);
    if (message !== undefined) context.addIssue({ code: "custom", message });
  });
  return withCEL(text, ...rules).meta({ maxLength: maxText });
}

const address = checked(addressProblem, addressRules);
const file = withRules(ownedPath, {
  message: "is not a file that an include of Asterisk could name",
  holds: (path) => !/[*?[\]{}\\;"<>]/.test(path) && path.length <= longestPath,
  cel: `self.size() <= ${String(longestPath)} && !self.matches('[*?\\\\[\\\\]{}\\\\\\\\;"<>]')`,
});
const writeTimeout = withRules(duration, {
  message: "is not at least 100ms and at most 596h: Asterisk would ignore it",
  holds: (text) => milliseconds(text) >= 100 && milliseconds(text) <= 0x7fffffff,
  cel: "duration(self) >= duration('100ms') && duration(self) <= duration('2147483647ms')",
});
const reasonProblem = (text: string): string | undefined =>
  text.trim() === "" ? "is empty" : textProblem(text);

const spec = z.strictObject({
  serverRef: serverReference.describe("The AsteriskServer that the account is on."),
  username: immutable(username, "username").describe(
    "The account's name: the section of manager.conf, the Username of a login.",
  ),
  secretRef: secretKeyReference
    .optional()
    .describe("The key of a Secret that holds the account's secret. Either this or `generate`."),
  generate: z
    .literal(true)
    .optional()
    .describe(
      "Makes a secret and keeps it in the Secret of this account's own name, under `username` and `password`.",
    ),
  read: classes.describe("The classes of events that the account gets. Without any: none."),
  write: classes.describe(
    "The classes of actions that the account may send. Without any: none. all, command, config, system and agi are code execution on the server and need `privilegedReason`.",
  ),
  permit: z
    .array(address)
    .max(128)
    .default([])
    .describe(
      "The addresses that may log in: address, address/bits or address/netmask. Looked at after `deny`.",
    ),
  deny: z
    .array(address)
    .max(128)
    .default(["0.0.0.0/0", "::/0"])
    .describe("The addresses that may not. Default: all, IPv4 and IPv6."),
  allowMultipleLogin: z
    .boolean()
    .default(true)
    .describe("Whether several sessions may be logged in at once. True is Asterisk's own default."),
  displayConnects: z
    .boolean()
    .default(true)
    .describe(
      "Whether Asterisk logs each login and tells the client when it has booted. True is Asterisk's own default.",
    ),
  writeTimeout: writeTimeout
    .default("100ms")
    .describe("How long Asterisk waits for a client that does not read. Asterisk's own default: 100ms."),
  eventFilters: z
    .array(checked(eventFilterProblem, textRules))
    .max(128)
    .default([])
    .describe(
      "POSIX regular expressions: only events that match one are sent. With `!` in front, those that match are not.",
    ),
  variables: withCEL(
    z.record(z.string(), withCEL(z.string(), ...textRules).meta({ maxLength: maxText })),
    variableNameRule,
  )
    .meta({ maxProperties: 64 })
    .default({})
    .superRefine((variables, context) => {
      for (const [name, value] of Object.entries(variables)) {
        const message = variableProblem(name, value);
        if (message !== undefined) context.addIssue({ code: "custom", message, path: [name] });
      }
    })
    .describe("Channel variables that every Originate of the account sets."),
  privilegedReason: checked(reasonProblem, [notEmptyRule, ...textRules])
    .optional()
    .describe("Why the account needs classes that run code on the server; without it they are refused."),
  allowAnyAddress: z
    .boolean()
    .default(false)
    .describe("Lets the account be used from any address: named so because it is unsafe."),
  allowWeakSecret: z
    .boolean()
    .default(false)
    .describe("Accepts a secret that is well known, short or guessable: named so because it is unsafe."),
  allowVariables: z
    .boolean()
    .default(false)
    .describe(
      "Accepts `variables`, with which Asterisk can crash when manager.conf is changed and reloaded: named so because it is unsafe.",
    ),
  allowPlaintext: z
    .boolean()
    .default(false)
    .describe(
      "Accepts that AMI listens on all interfaces without TLS, or through Asterisk's web server: named so because it is unsafe.",
    ),
  file: file
    .optional()
    .describe(
      "The file below the configuration directory that holds the account; it must be one that manager.conf includes. " +
        "Default: manager_custom.conf if included, else manager.d/<username>.conf if included and writable, else manager.conf unless a distribution owns it.",
    ),
  deletionPolicy: deletionPolicy
    .default("Restore")
    .describe("What a removal does: Restore puts back what was there before us, Retain leaves the account."),
});

/** An AMI account as declared, with the defaults filled in. That it is safe too, core/accounts/policy.ts says. */
export const amiAccount = z.strictObject({
  apiVersion,
  kind: z.literal("AMIAccount"),
  metadata,
  spec: withRules(spec, {
    message: "needs either secretRef or generate: true",
    holds: ({ secretRef, generate }) => (secretRef === undefined) !== (generate === undefined),
    cel: "has(self.secretRef) != has(self.generate)",
  }),
});
export type AMIAccount = z.infer<typeof amiAccount>;
export type AMIAccountSpec = AMIAccount["spec"];
