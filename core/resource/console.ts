import { z } from "zod";
import { privilegedCommands } from "../judge/commands.ts";
import { withRules } from "./rules.ts";

const word = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[^\s"\\]+$/, "must be one word without quotes and backslashes");

/** The console of a server: where it is, whether there is one, and what its admins may use beyond their role. */
export const consoleSettings = withRules(
  z.strictObject({
    url: z
      .string()
      .max(1024)
      .regex(/^https:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/, "must be an https URL without a query")
      .optional()
      .describe("The public address of the web console; the origin that it accepts, and shown in status."),
    disabled: z
      .boolean()
      .default(false)
      .describe("Switches the server's console off, on the web and in the terminal."),
    privilegedCommands: z
      .array(z.enum(privilegedCommands as [string, ...string[]]))
      .max(64)
      .default([])
      .describe(
        "Commands that run code, write files or show passwords, and that admins may use on the web all the same.",
      ),
    privilegedReason: z
      .string()
      .min(1)
      .max(255)
      .optional()
      .describe("Why admins need privilegedCommands; without it they are refused."),
    redirectContexts: z
      .array(word)
      .max(128)
      .default([])
      .describe("The contexts that `channel redirect` may lead to; without any it is refused."),
    queueInterfaces: z
      .array(word)
      .max(1024)
      .default([])
      .describe("What `queue add member` may add, such as PJSIP/alice; without any it is refused."),
  }),
  {
    message: "privilegedCommands need a privilegedReason",
    path: ["privilegedReason"],
    holds: ({ privilegedCommands, privilegedReason }) =>
      privilegedCommands.length === 0 || privilegedReason !== undefined,
    cel: "size(self.privilegedCommands) == 0 || has(self.privilegedReason)",
  },
);

export type ConsoleSettings = z.infer<typeof consoleSettings>;
