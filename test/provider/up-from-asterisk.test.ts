/** `pulumi up` of the example whose source is Asterisk, for real. */
import { expect, test } from "@jest/globals";
import { appendFile, cp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { snapshot } from "../support/configuration-snapshot.ts";
import { useLab } from "../support/lab.ts";
import {
  configureFromLab,
  describeWithPulumi,
  leaksOf,
  listen,
  usePulumiProject,
} from "../support/pulumi-stack.ts";

const examples = join(import.meta.dirname, "..", "..", "examples");

describeWithPulumi("pulumi up of examples/pulumi-from-asterisk", () => {
  const lab = useLab();
  const project = usePulumiProject((directory) =>
    cp(join(examples, "pulumi-from-asterisk"), directory, { recursive: true }),
  );

  test("what is changed on the server is collected, read, and never written", async () => {
    await configureFromLab(project, lab.directory);
    const directory = lab.servers[0]?.configDirectory ?? "";
    const first = await listen(project, (options) => project.stack.up(options));
    expect(first.outputs["contexts"]).toMatchObject({
      secret: false,
      value: expect.arrayContaining(["demo"]),
    });
    await appendFile(join(directory, "extensions.conf"), "\n[weekend]\nexten => s,1,Hangup()\n");
    const edited = await snapshot(directory);
    const { outputs } = await listen(project, (options) => project.stack.up({ ...options, refresh: true }));
    expect(outputs["contexts"]?.value).toContain("weekend");
    const live = await readFile(join(directory, "extensions.conf"), "utf8");
    expect(await readFile(join(project.directory, "collected/extensions.conf"), "utf8")).toBe(live);
    expect(await snapshot(directory)).toEqual(edited);
    const password = await readFile(join(lab.directory, "secrets/pbx1-ami/password"), "utf8");
    expect(await leaksOf(project, [password])).toEqual([]);
  });
});
