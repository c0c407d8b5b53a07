import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { parse } from "yaml";

const root = join(import.meta.dirname, "../..");
const read = (file: string): Promise<string> => readFile(join(root, file), "utf8");

test("the build of the image is given all that the package's build reads", async () => {
  const { include } = JSON.parse(await read("tsconfig.build.json")) as { include: string[] };
  const ignored = await read(".dockerignore");
  const given = ignored.split("\n").flatMap((line) => (line.startsWith("!") ? [line.slice(1)] : []));
  expect(given).toEqual(
    expect.arrayContaining([...include, "package-lock.json", "tsconfig.build.json", "scripts"]),
  );
});

test("the image's Node is the one that is tested with, and it starts what the deployment does", async () => {
  const dockerfile = await read("Dockerfile");
  const { devDependencies } = JSON.parse(await read("package.json")) as {
    devDependencies: Record<string, string>;
  };
  const major = devDependencies["node"]?.split(".")[0];
  const bases = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, base]) => base);
  expect(bases).toEqual([`node:${major}-slim`, `node:${major}-slim`]);

  const command = JSON.parse(/^CMD (.*)$/m.exec(dockerfile)?.[1] ?? "") as string[];
  const deployment = parse(await read("deploy/deployment.yaml")) as {
    spec: {
      template: { spec: { securityContext: Record<string, unknown>; containers: { command: string[] }[] } };
    };
  };
  const { securityContext, containers } = deployment.spec.template.spec;
  expect(containers.map((container) => container.command)).toEqual([command]);
  expect(dockerfile).toContain(
    `USER ${String(securityContext["runAsUser"])}:${String(securityContext["runAsGroup"])}`,
  );
});
