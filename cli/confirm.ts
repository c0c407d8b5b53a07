import { createInterface } from "node:readline/promises";
import { AsteriskIacError } from "../core/errors.ts";
import type { Terminal } from "./terminal.ts";
import { painter } from "./terminal.ts";

/** Asks on the terminal; only `y` or `yes` is a yes. Throws `InvalidArgument` where there is no terminal to ask on. */
export async function confirmed({ stderr }: Terminal, question: string): Promise<boolean> {
  if (!process.stdin.isTTY || !stderr.isTTY) {
    throw new AsteriskIacError("InvalidArgument", "there is no terminal to ask on", {
      hint: "Pass --yes, or, for an apply, --expect with the hash of the plan that you looked at. Nothing was written.",
    });
  }
  const lines = createInterface({ input: process.stdin, output: stderr });
  try {
    const answer = await lines.question(`${painter(stderr)("bold", question)} [y/N] `);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    lines.close();
  }
}
