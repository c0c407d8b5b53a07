import { expect, test } from "@jest/globals";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "../support/temporary.ts";

const repository = join(import.meta.dirname, "..", "..");

test("the types of the Pulumi examples are right, as the examples' own settings have it", () => {
  const project = join(temporaryDirectory(), "tsconfig.json");
  const example = (name: string): string => join(repository, "examples", name);
  const settings = {
    extends: join(example("pulumi"), "tsconfig.json"),
    compilerOptions: {
      // The package as it is in this checkout, built or not, and what its code needs.
      paths: { "asterisk-iac": [join(repository, "provider/index.ts")] },
      lib: ["es2024"],
      allowImportingTsExtensions: true,
      typeRoots: [join(repository, "node_modules/@types")],
    },
    files: ["pulumi", "pulumi-from-asterisk"].map((name) => join(example(name), "index.ts")),
  };
  writeFileSync(project, JSON.stringify(settings));
  const compiler = join(repository, "node_modules/typescript/bin/tsc");
  const { stdout, status } = spawnSync(process.execPath, [compiler, "-p", project], { encoding: "utf8" });
  expect({ stdout, status }).toEqual({ stdout: "", status: 0 });
});
