// Makes this checkout's own package usable in it as it is elsewhere, which npm does for dependencies only: its commands in
// node_modules/.bin, for `npx asteriskctl`, and itself in node_modules, for the programs of examples/. `npx pulumi` takes an
// installed Pulumi before it downloads one. Where the package is itself a dependency there is nothing to do.
import { chmodSync, existsSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";

const { name, bin } = JSON.parse(readFileSync("package.json", "utf8"));
const commands = { ...bin, pulumi: "scripts/pulumi.mjs" };
for (const target of Object.values(commands)) chmodSync(target, 0o755);
if (existsSync(join("node_modules", ".bin"))) {
  for (const [command, target] of Object.entries(commands))
    link(join("..", "..", target), join("node_modules", ".bin", command));
  link("..", join("node_modules", name));
}

function link(target, path) {
  rmSync(path, { force: true });
  symlinkSync(target, path);
}
