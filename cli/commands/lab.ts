import type { Command } from "commander";
import { InvalidArgumentError, Option } from "commander";
import { kubernetesDown, kubernetesPrograms, kubernetesUp } from "../../lab/kubernetes.ts";
import type { AsteriskVersion } from "../../lab/lab.ts";
import { labDown, labUp } from "../../lab/lab.ts";
import type { Shell } from "../program.ts";
import { painter, table } from "../terminal.ts";

export function addLabCommands(program: Command, shell: Shell): void {
  const lab = program.command("lab").description("real Asterisk servers on loopback, to try things on");
  lab
    .command("up")
    .description("start servers pbx1 … pbxN and write manifests and secrets for them")
    .requiredOption("--dir <dir>", "where everything of the lab goes")
    .option("--count <n>", "how many servers", positiveInteger, 1)
    .addOption(new Option("--asterisk <version>", "major version").choices(["22", "16"]).default("22"))
    .option("--freepbx", "lay the configuration directory out as FreePBX does")
    .option("--kubernetes", "a Kubernetes API server too, and the servers and secrets as resources for it")
    .addHelpText(
      "after",
      `
The first time, Asterisk is installed from Debian's packages into a root tree of its own, in the user's cache.

Examples:
  $ asteriskctl lab up --count 1 --dir /tmp/lab
  $ asteriskctl -f /tmp/lab/manifests.yaml test
  $ asteriskctl lab down --dir /tmp/lab`,
    )
    .action(
      async (
        options: { dir: string; count: number; asterisk: string; freepbx?: boolean; kubernetes?: boolean },
        command: Command,
      ) => {
        const { stdout, stderr } = shell.terminal;
        const onProgress = (message: string) => stderr.write(`${message}\n`);
        // What may be missing is made before anything runs.
        if (options.kubernetes) await kubernetesPrograms(onProgress);
        const { servers } = await labUp({
          directory: options.dir,
          count: options.count,
          asterisk: Number(options.asterisk) as AsteriskVersion,
          freepbx: options.freepbx === true,
          onProgress,
        });
        const kubernetes = options.kubernetes
          ? await kubernetesUp({ directory: options.dir, onProgress })
          : undefined;
        if (command.optsWithGlobals<{ output: string }>().output === "json") {
          const rows = servers.map(({ name, sshPort, amiPort, configDirectory }) => ({
            name,
            sshPort,
            amiPort,
            configDirectory,
          }));
          const { kubeconfig } = kubernetes ?? {};
          const document = { command: "lab up", directory: options.dir, servers: rows, kubeconfig };
          stdout.write(`${JSON.stringify(document, undefined, 2)}\n`);
          return;
        }
        const rows = servers.map((server) => [
          server.name,
          `SSH ${server.host}:${server.sshPort}`,
          `AMI ${server.host}:${server.amiPort}`,
          server.configDirectory,
        ]);
        const paint = painter(stdout);
        stdout.write(
          `${table(rows, (_, column, cell) => (column === 0 ? paint("bold", cell) : cell)).join("\n")}\n`,
        );
        stderr.write(`Next: asteriskctl -f ${options.dir}/manifests.yaml test\n`);
        if (kubernetes !== undefined)
          stderr.write(`Kubernetes: export KUBECONFIG=${kubernetes.kubeconfig}\n`);
      },
    );
  lab
    .command("down")
    .description("stop the servers; what lies in source/ stays")
    .requiredOption("--dir <dir>", "the lab's directory")
    .action(async (options: { dir: string }) => {
      await kubernetesDown({ directory: options.dir });
      await labDown({ directory: options.dir });
    });
}

function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 100)
    throw new InvalidArgumentError("must be a whole number from 1 to 100");
  return value;
}
