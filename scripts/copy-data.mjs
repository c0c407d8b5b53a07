// What the compiler does not take along: the lab's module file, by which its Kubernetes is built, and the console's page.
import { cpSync } from "node:fs";
import { join } from "node:path";

const files = [
  ...["go.mod", "go.sum"].map((file) => join("lab", "kubernetes", file)),
  ...["index.html", "page.css", "page.js"].map((file) => join("console", "page", file)),
];
for (const path of files) cpSync(path, join("dist", path));
