import { PassThrough } from "node:stream";
import { asAsteriskIacError } from "../../core/errors.ts";
import { buildProgram } from "../../cli/program.ts";
import type { Run } from "./asteriskctl.ts";

/** Runs the command line in this process: where a test runs it often, a process each time would take too long. */
export async function runProgram(args: readonly string[]): Promise<Run> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const output = { stdout: "", stderr: "" };
  stdout.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
  stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
  const rank = [0, 2, 3, 1];
  let code = 0;
  const program = buildProgram({
    terminal: { stdout, stderr } as unknown as { stdout: NodeJS.WriteStream; stderr: NodeJS.WriteStream },
    exitWith: (next) => {
      if (rank.indexOf(next) > rank.indexOf(code)) code = next;
    },
  });
  program.exitOverride();
  for (const command of program.commands) command.exitOverride();
  try {
    await program.parseAsync([...args], { from: "user" });
  } catch (thrown) {
    code = 1;
    const { code: name, message, hint } = asAsteriskIacError(thrown);
    output.stderr += `${name}: ${message}${hint === undefined ? "" : `\n${hint}`}\n`;
  }
  // What was written last comes with the next turn.
  await new Promise((resolve) => setImmediate(resolve));
  return { code, ...output };
}
