// Puts this checkout's own commands into node_modules/.bin, so that `npx asteriskctl` runs them at once:
// npm links the commands of dependencies only. Where the package is itself a dependency, npm did it already.
import { chmodSync, existsSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";

const { bin } = JSON.parse(readFileSync("package.json", "utf8"));
for (const [name, target] of Object.entries(bin)) {
  chmodSync(target, 0o755);
  const link = join("node_modules", ".bin", name);
  if (!existsSync(join("node_modules", ".bin"))) continue;
  rmSync(link, { force: true });
  symlinkSync(join("..", "..", target), link);
}
