#!/usr/bin/env node
import { CommanderError } from "commander";
import { asAsteriskIacError } from "../core/errors.ts";
import { errorDocument, printError } from "./fleet.ts";
import { buildProgram } from "./program.ts";

// A checkout brings its own Node; a global installation may meet an old one.
const [major = 0] = process.versions.node.split(".").map(Number);
if (major < 22) {
  process.stderr.write(`error: asteriskctl needs Node 22.19 or later; this is ${process.version}\n`);
  process.exit(1);
}

const rank = [0, 2, 3, 1];
let exitCode: 0 | 1 | 2 | 3 = 0;
const terminal = { stdout: process.stdout, stderr: process.stderr };

// `asteriskctl … | head`: the reader went away, and nobody is left to tell.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(exitCode);
  throw error;
});

const program = buildProgram({
  terminal,
  exitWith: (code) => {
    if (rank.indexOf(code) > rank.indexOf(exitCode)) exitCode = code;
  },
});
program.exitOverride();
for (const command of program.commands) command.exitOverride();

try {
  await program.parseAsync();
} catch (thrown) {
  if (thrown instanceof CommanderError) {
    exitCode = thrown.exitCode === 0 ? 0 : 1;
  } else {
    exitCode = 1;
    const error = asAsteriskIacError(thrown);
    if (program.opts<{ output: string }>().output === "json") {
      terminal.stdout.write(`${JSON.stringify({ error: errorDocument(error) }, undefined, 2)}\n`);
    }
    printError(terminal, error);
    if (process.env["ASTERISKCTL_DEBUG"] !== undefined) console.error(thrown);
  }
}
process.exitCode = exitCode;
