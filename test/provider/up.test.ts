/** `pulumi up` of the example, for real: Pulumi's own engine, a local backend, and a live Asterisk. */
import { expect, test } from "@jest/globals";
import { appendFile, cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { snapshot } from "../support/configuration-snapshot.ts";
import { useLab } from "../support/lab.ts";
import {
  configureFromLab,
  describeWithPulumi,
  failure,
  listen,
  openStack,
  leaksOf,
  usePulumiProject,
} from "../support/pulumi-stack.ts";

const repository = join(import.meta.dirname, "..", "..");

describeWithPulumi("pulumi up of examples/pulumi", () => {
  const lab = useLab();
  const project = usePulumiProject(async (directory) => {
    await cp(join(repository, "Pulumi.yaml"), join(directory, "Pulumi.yaml"));
    await cp(join(repository, "examples/pulumi"), join(directory, "examples/pulumi"), { recursive: true });
  });
  let before: Record<string, string>;

  const directory = (): string => lab.servers[0]?.configDirectory ?? "";
  const liveFile = (name: string): Promise<string> => readFile(join(directory(), name), "utf8");

  test("the stack is configured from a lab, and the first up makes everything; another at once does no harm", async () => {
    before = await snapshot(directory());
    await configureFromLab(project, lab.directory);
    const other = await openStack(project);
    const creates = Promise.withResolvers<true>();
    const first = listen(project, ({ onOutput, onError }) =>
      project.stack.up({
        onError,
        onOutput: (text) => {
          onOutput(text);
          if (text.includes("creating")) creates.resolve(true);
        },
      }),
    );
    await Promise.race([creates.promise, first]);
    expect(await failure(project, (options) => other.up(options))).toContain("the stack is currently locked");
    const { summary, outputs } = await first;
    expect(summary.resourceChanges).toEqual({ create: 6 });
    expect(outputs["crmPassword"]).toMatchObject({ secret: true, value: expect.stringMatching(/^\S{20,}$/) });
    expect(await liveFile("extensions.conf")).toContain("exten => 100,1,NoOp(Reception)");
    const members = await lab.servers[0]?.run(["asterisk", "-rx", "queue show support"]);
    expect(members?.stdout).toContain("PJSIP/101");
    expect(members?.stdout).toContain("PJSIP/102");
  });

  test("then there is nothing to do", async () => {
    const { changeSummary } = await listen(project, (options) =>
      project.stack.preview({ ...options, expectNoChanges: true }),
    );
    expect(changeSummary).toEqual({ same: 6 });
  });

  test("an edit by hand is shown by refresh, and the next up takes it back", async () => {
    const ours = await liveFile("extensions.conf");
    await appendFile(join(directory(), "extensions.conf"), "[by-hand]\nexten => 1,1,Hangup()\n");
    const queues = await liveFile("queues.conf");
    await writeFile(join(directory(), "queues.conf"), queues.replace("timeout = 20", "timeout = 99"));
    const refreshed = await listen(project, (options) => project.stack.refresh(options));
    expect(refreshed.summary.resourceChanges).toEqual({ same: 4, update: 2 });
    const { summary } = await listen(project, (options) => project.stack.up(options));
    expect(summary.resourceChanges).toEqual({ same: 4, update: 2 });
    expect(await liveFile("extensions.conf")).toBe(ours);
    expect(await liveFile("queues.conf")).toBe(queues);
  });

  test("where Asterisk becomes the source, content is refused with the reason, and nothing is written", async () => {
    const written = await snapshot(directory());
    await project.stack.setConfig("updateDirection", { value: "FromAsterisk" });
    const said = await failure(project, (options) => project.stack.up(options));
    expect(said).toContain("FromAsterisk");
    expect(await snapshot(directory())).toEqual(written);
    await project.stack.removeConfig("updateDirection");
  });

  test("neither the state, past ones included, nor anything that was printed holds a secret", async () => {
    const config = await project.stack.getAllConfig();
    const outputs = await project.stack.outputs();
    const secrets = [
      String(outputs["crmPassword"]?.value),
      ...Object.values(config)
        .filter(({ secret }) => secret === true)
        .map(({ value }) => value),
    ];
    expect(secrets).toHaveLength(4);
    expect(await leaksOf(project, secrets)).toEqual([]);
  });

  test("destroy leaves the configuration directory as it was before the first up, to the byte", async () => {
    expect(await snapshot(directory())).not.toEqual(before);
    await listen(project, (options) => project.stack.destroy(options));
    expect(await snapshot(directory())).toEqual(before);
  });
});
