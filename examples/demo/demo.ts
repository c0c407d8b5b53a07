/** The main job on a real Asterisk: `npm run demo`. Everything it makes lies in a temporary directory and is gone afterwards. */
import { spawn } from "node:child_process";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { styleText } from "node:util";
import type { Lab } from "../../lab/lab.ts";
import { labServers } from "../../lab/lab.ts";

const repository = join(import.meta.dirname, "..", "..");
const directory = mkdtempSync(join(tmpdir(), "asterisk-iac-demo-"));

function say(text: string): void {
  console.log(`\n${styleText("bold", text)}`);
}

/** Shows a command as one would type it, and runs it for real. */
async function asteriskctl(args: readonly string[], expectedCode = 0): Promise<void> {
  console.log(styleText("cyan", `$ npx asteriskctl ${args.join(" ")}`));
  const child = spawn(process.execPath, [join(repository, "dist/cli/main.js"), ...args], {
    cwd: directory,
    stdio: "inherit",
  });
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.on("close", resolve).on("error", reject);
  const code = await promise;
  if (code !== expectedCode)
    throw new Error(`asteriskctl ${args.join(" ")} exited with ${code} instead of ${expectedCode}`);
}

/** Shows an edit of a file as one would make it, and makes it. */
function edit(path: string, text: string): void {
  console.log(styleText("cyan", `$ cat >> ${path} <<'END'`) + styleText("dim", `\n${text}END`));
  appendFileSync(join(directory, path), text);
}

/** Asks the live Asterisk itself, not us. */
async function onServer(lab: Lab, command: string): Promise<void> {
  console.log(styleText("cyan", `pbx1$ asterisk -rx '${command}'`));
  const result = await lab.servers[0]?.run(["asterisk", "-rx", command]);
  console.log(result?.stdout.trimEnd());
}

function direct(direction: "ToAsterisk" | "FromAsterisk"): void {
  const file = join(directory, "lab/manifests.yaml");
  const text = readFileSync(file, "utf8").replace(/updateDirection: \w+/, `updateDirection: ${direction}`);
  console.log(
    styleText("cyan", `$ sed -i 's/updateDirection: .*/updateDirection: ${direction}/' lab/manifests.yaml`),
  );
  writeFileSync(file, text);
}

const live = "lab/servers/pbx1/etc/asterisk";
const source = "lab/source/pbx1";
const started = performance.now();
try {
  say("1. A real Asterisk 22 with its own sshd, from Debian's packages, on loopback");
  await asteriskctl(["lab", "up", "--count", "1", "--dir", "lab"]);
  const lab = { directory: join(directory, "lab"), servers: await labServers(join(directory, "lab")) };
  await asteriskctl(["-f", "lab", "test"]);

  say("2. The initial import: every file, byte for byte; what is left out is named");
  await asteriskctl(["-f", "lab", "import"]);
  await asteriskctl(["-f", "lab", "status"]);

  say("3. An extension is added to the source, planned, applied, and seen on live Asterisk");
  edit(
    `${source}/extensions.conf`,
    "\n[internal]\nexten => 999,1,Answer()\n same => n,Playback(hello-world)\n same => n,Hangup()\n",
  );
  await asteriskctl(["-f", "lab", "plan"]);
  await asteriskctl(["-f", "lab", "apply", "--yes"]);
  await onServer(lab, "dialplan show 999@internal");
  await asteriskctl(["-f", "lab", "apply", "--yes"]);

  say("4. Somebody edits the server by hand: drift, corrected, the edit kept");
  edit(`${live}/queues.conf`, "\n[by-hand]\nstrategy = ringall\n");
  await asteriskctl(["-f", "lab", "plan"]);
  await asteriskctl(["-f", "lab", "apply", "--yes"]);
  await asteriskctl(["-f", "lab", "backups", "list"]);

  say("5. The other way round: the server is the source of truth, and the repository follows");
  direct("FromAsterisk");
  edit(`${live}/musiconhold.conf`, "\n[holiday]\nmode = files\ndirectory = /var/lib/asterisk/moh\n");
  await asteriskctl(["-f", "lab", "apply", "--yes"]);
  console.log(styleText("cyan", `$ tail -n 4 ${source}/musiconhold.conf`));
  console.log(
    readFileSync(join(directory, source, "musiconhold.conf"), "utf8")
      .split("\n")
      .slice(-5, -1)
      .join("\n"),
  );
  direct("ToAsterisk");

  say("6. Both sides change: nothing is overwritten until somebody chooses");
  edit(`${live}/features.conf`, "; changed on the server\n");
  edit(`${source}/features.conf`, "; changed in the source\n");
  await asteriskctl(["-f", "lab", "apply", "--yes"], 3);
  await asteriskctl(["-f", "lab", "apply", "--yes", "--take", "server"]);

  say("7. A dialplan that Asterisk would refuse never reaches it");
  const dialplan = readFileSync(join(directory, source, "extensions.conf"));
  edit(`${source}/extensions.conf`, "[sales\nexten => 1,1,Answer()\n");
  await asteriskctl(["-f", "lab", "apply", "--yes"], 1);
  writeFileSync(join(directory, source, "extensions.conf"), dialplan);

  say("8. A pjsip.conf that only Asterisk itself can refuse is rolled back");
  const pjsip = readFileSync(join(directory, source, "pjsip.conf"));
  edit(`${source}/pjsip.conf`, "\n[101]\ntype = endpoint\ncontext = internal\nallow = ulwa\n");
  await asteriskctl(["-f", "lab", "apply", "--yes"], 1);
  writeFileSync(join(directory, source, "pjsip.conf"), pjsip);
  await asteriskctl(["-f", "lab", "plan"]);

  say("9. What Asterisk makes of a file, and what is wrong with one that a tutorial has");
  await asteriskctl(["conf", "show", join(repository, "examples/conf/pjsip.conf")]);
  await asteriskctl(["conf", "lint", join(repository, "examples/lint/manager.conf")], 1);
} finally {
  say("The lab goes down again");
  await asteriskctl(["lab", "down", "--dir", "lab"]);
  rmSync(directory, { recursive: true, force: true });
}
console.log(
  `\nDone in ${((performance.now() - started) / 1000).toFixed(1)} s. The README tells how to do the same with your own server.`,
);
