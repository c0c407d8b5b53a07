// What the compiler does not take along: the lab's module file, by which its Kubernetes is built.
import { cpSync } from "node:fs";
import { join } from "node:path";

for (const file of ["go.mod", "go.sum"]) {
  const path = join("lab", "kubernetes", file);
  cpSync(path, join("dist", path));
}
