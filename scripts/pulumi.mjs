#!/usr/bin/env node
// `npx pulumi` in this checkout: the Pulumi that is on the PATH, else the one that the package `pulumi` downloads.
import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

const installed = (process.env.PATH ?? "")
  .split(delimiter)
  .filter((directory) => !directory.endsWith(join("node_modules", ".bin")))
  .map((directory) => join(directory, "pulumi"))
  .find(isExecutable);

if (installed === undefined) {
  await import("pulumi/run.js");
} else {
  const child = spawn(installed, process.argv.slice(2), { stdio: "inherit" });
  // A terminal interrupts both, and Pulumi ends in its own time.
  process.on("SIGINT", () => undefined);
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  child.on("exit", (code) => process.exit(code ?? 1));
}

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
