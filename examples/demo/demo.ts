/** The main job on a real Asterisk: `npm run demo`. Everything it makes lies in a temporary directory and is gone afterwards. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { styleText } from "node:util";

const repository = join(import.meta.dirname, "..", "..");
const directory = mkdtempSync(join(tmpdir(), "asterisk-iac-demo-"));

function say(text: string): void {
  console.log(`\n${styleText("bold", text)}`);
}

/** Shows a command as one would type it, and runs it for real. */
async function asteriskctl(args: readonly string[], expectedCode = 0): Promise<void> {
  console.log(styleText("cyan", `$ npx asteriskctl ${args.join(" ")}`));
  const child = spawn(process.execPath, [join(repository, "dist/cli/main.js"), ...args], { cwd: directory, stdio: "inherit" });
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.on("close", resolve).on("error", reject);
  const code = await promise;
  if (code !== expectedCode) throw new Error(`asteriskctl ${args.join(" ")} exited with ${code} instead of ${expectedCode}`);
}

const started = performance.now();
try {
  say("1. A real Asterisk 22 with its own sshd, from Debian's packages, on loopback");
  await asteriskctl(["lab", "up", "--count", "1", "--dir", "lab"]);

  say("2. Is it there? Over SSH and over AMI");
  await asteriskctl(["-f", "lab", "test"]);

  say("3. The initial import: every file, byte for byte; what is left out is named");
  await asteriskctl(["-f", "lab", "import"]);

  say("4. Source, server and record compared: nothing would change");
  await asteriskctl(["-f", "lab", "plan"]);
  await asteriskctl(["-f", "lab", "status"]);

  say("5. What Asterisk makes of a file: templates and includes resolved, each value with its place");
  await asteriskctl(["conf", "show", join(repository, "examples/conf/pjsip.conf")]);

  say("6. What is wrong with the configuration as Debian ships it");
  await asteriskctl(["conf", "lint", "lab/source/pbx1"], 1);

  say("7. And with an AMI account as tutorials have it");
  await asteriskctl(["conf", "lint", join(repository, "examples/lint/manager.conf")], 1);

  say("8. A reload, and whether it really happened");
  await asteriskctl(["-f", "lab", "reload", "manager"]);
} finally {
  say("The lab goes down again");
  await asteriskctl(["lab", "down", "--dir", "lab"]);
  rmSync(directory, { recursive: true, force: true });
}
console.log(`\nDone in ${((performance.now() - started) / 1000).toFixed(1)} s. The README tells how to do the same with your own server.`);
