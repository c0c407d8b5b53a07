/** Ansible and mitogen for this machine: a Python environment of their own in the user's cache, made once. */
import { access, mkdir, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { runCommand } from "../../lab/process.ts";

/** The newest of both that run on Python 3.11. mitogen 0.3.54 speaks to ansible-core 2.10 up to 2.20. */
const versions = ["ansible-core==2.19.14", "mitogen==0.3.54"] as const;

/** The benchmark's part of the user's cache. */
export const cacheDirectory = join(
  process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"),
  "asterisk-iac",
  "bench",
);

export interface PythonEnvironment {
  /** What it holds, as pip names it. */
  readonly versions: readonly string[];
  readonly ansiblePlaybook: string;
  /** Where mitogen keeps its strategies for Ansible. */
  readonly mitogenStrategies: string;
}

/** The environment, made with `python3 -m venv` and pip where it is not there yet; or why it can't be had. */
export async function pythonEnvironment(
  onProgress: (message: string) => void,
): Promise<PythonEnvironment | { readonly missing: string }> {
  const directory = join(cacheDirectory, versions.join("-").replaceAll("==", "-"));
  const marker = join(directory, "complete");
  const python = join(directory, "bin", "python3");
  const isComplete = await access(marker).then(
    () => true,
    () => false,
  );
  if (!isComplete) {
    onProgress(`installing ${versions.join(" and ")} into ${directory} with pip, once`);
    await rm(directory, { recursive: true, force: true });
    await mkdir(cacheDirectory, { recursive: true });
    for (const command of [
      ["python3", "-m", "venv", directory],
      [python, "-m", "pip", "install", "--quiet", ...versions],
    ]) {
      const why = await runCommand(command).then(
        ({ code, stderr }) => (code === 0 ? undefined : stderr.trim()),
        (error: unknown) => String(error),
      );
      if (why !== undefined) return { missing: `${command.slice(0, 3).join(" ")} failed: ${why}` };
    }
    await writeFile(marker, "");
  }
  const find = "import ansible_mitogen, os; print(os.path.dirname(ansible_mitogen.__file__))";
  const { stdout } = await runCommand([python, "-c", find]);
  return {
    versions,
    ansiblePlaybook: join(directory, "bin", "ansible-playbook"),
    mitogenStrategies: join(stdout.trim(), "plugins", "strategy"),
  };
}
