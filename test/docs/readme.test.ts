/**
 * Every console block of the documents runs, in order, and prints what the document says. What differs from run to run
 * (ports, times, versions) is compared by its shape. `UPDATE_DOCS=1 npm test -- test/docs` writes the real output in.
 */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { labDown } from "../../lab/lab.ts";
import { useGitServer } from "../support/git-server.ts";

const repository = join(import.meta.dirname, "..", "..");
const documents = [
  "README.md",
  "docs/cli.md",
  "docs/lint.md",
  "docs/bootstrap.md",
  "docs/accounts.md",
  "docs/conf-files.md",
  "docs/calls.md",
  "docs/git.md",
  "docs/console.md",
];

/** Where the commands run: `examples/` is there, and `npx asteriskctl` is this checkout's. */
const tour = mkdtempSync(join(tmpdir(), "asterisk-iac-tour-"));

const gitServer = useGitServer();
/** As whoever follows the documents has set it: an empty repository, and git that may push to it. */
let environment: Readonly<Record<string, string>> = {};

beforeAll(async () => {
  const { httpURL, token } = await gitServer.createRepository("telephony");
  environment = {
    REPOSITORY: httpURL,
    TOKEN: token,
    GIT_CONFIG_GLOBAL: join(tour, "gitconfig"),
  };
  writeFileSync(
    join(tour, "gitconfig"),
    `[user]\n\tname = You\n\temail = you@example.com\n[credential]\n\thelper = "!f() { echo username=you; echo password=$TOKEN; }; f"\n`,
  );
  cpSync(join(repository, "examples"), join(tour, "examples"), { recursive: true });
  mkdirSync(join(tour, "bin"));
  writeFileSync(
    join(tour, "bin/npx"),
    `#!/bin/sh\nshift\nexec "${process.execPath}" "${repository}/cli/main.ts" "$@"\n`,
  );
  chmodSync(join(tour, "bin/npx"), 0o755);
});

afterAll(async () => {
  for (const lab of ["lab", "new", "pbx", "files", "calls", "office", "console"])
    await labDown({ directory: join(tour, lab) });
  rmSync(tour, { recursive: true, force: true });
});

/** What may differ between two runs. */
function shape(text: string): string {
  return (
    text
      .replaceAll(tour, "/tmp/tour")
      // Editors and formatters take them off.
      .replace(/[ \t]+$/gm, "")
      .replace(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+Z)?/g, "<time>")
      .replace(/\d+(\.\d+)? ms/g, "<ms>")
      .replace(/(127\.0\.0\.1:|port )\d+/g, "$1<port>")
      .replace(/22\.\d+\.\d+[^ ,]*/g, "<version>")
      .replace(/plan [0-9a-f]{12}/g, "plan <hash>")
      .replace(/\b\d{8}-[0-9a-f]{16}\b/g, "<id>")
      .replace(/\b[0-9a-f]{12}\b/g, "<commit>")
      .replace(/"(hash|sourceHash|serverHash)": "[^"]*"/g, '"$1": "<hash>"')
      .replace(/"milliseconds": \d+/g, '"milliseconds": <ms>')
      // Servers come up side by side: which one is first differs.
      .replace(/(?:^pbx\d+ is up:.*\n)+/gm, (lines) =>
        lines
          .split(/(?<=\n)/)
          .sort()
          .join(""),
      )
      .replace(/ +/g, " ")
      .trimEnd()
  );
}

/** Not waited for in one piece: the git server is in this very process. */
async function run(command: string): Promise<string> {
  const child = spawn("bash", ["-c", `exec 2>&1\n${command}`], {
    cwd: tour,
    env: { ...process.env, ...environment, PATH: `${tour}/bin:${process.env["PATH"]}`, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "ignore"],
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  await once(child, "close");
  return output.trimEnd();
}

describe.each(documents)("%s", (name) => {
  const file = join(repository, name);
  const text = readFileSync(file, "utf8");
  const blocks = [...text.matchAll(/```console\n(.*?)```/gs)].map((match) => match[1] ?? "");

  test("has console blocks that print what it says", async () => {
    expect(blocks.length).toBeGreaterThan(0);
    let updated = text;
    for (const block of blocks) {
      const commands = block.split(/^(?=\$ )/m).map((part) => {
        const [command = "", ...output] = part.trimEnd().split("\n");
        return { command: command.slice(2), said: output.join("\n") };
      });
      const real: { command: string; said: string; printed: string }[] = [];
      for (const { command, said } of commands) real.push({ command, said, printed: await run(command) });
      if (process.env["UPDATE_DOCS"] === "1") {
        const written = real
          .map(
            ({ command, printed }) =>
              `$ ${command}\n${printed === "" ? "" : `${printed.replaceAll(tour, "/tmp/tour")}\n`}`,
          )
          .join("");
        updated = updated.replace(block, () => written);
        continue;
      }
      for (const { command, said, printed } of real)
        expect(`$ ${command}\n${shape(printed)}`).toBe(`$ ${command}\n${shape(said)}`);
    }
    if (updated !== text) writeFileSync(file, updated);
  }, 300_000);
});
