import { afterAll, beforeAll, describe } from "@jest/globals";
import { LocalWorkspace, PulumiCommand } from "@pulumi/pulumi/automation/index.js";
import type { Stack } from "@pulumi/pulumi/automation/index.js";
import { execFile } from "node:child_process";
import { transformFile } from "@swc/core";
import { accessSync, constants } from "node:fs";
import {
  copyFile,
  glob,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";

const repository = join(import.meta.dirname, "..", "..");

/** Folders of the PATH that have a Pulumi of their own: not this checkout's, which may download one. */
const folders = (process.env["PATH"] ?? "")
  .split(delimiter)
  .filter((folder) => !folder.endsWith(join("node_modules", ".bin")));
const folder = folders.find((each) => {
  try {
    accessSync(join(each, "pulumi"), constants.X_OK);
    return true;
  } catch {
    return false;
  }
});

/** Like `describe`, where there is a Pulumi on the PATH; else its tests are skipped, and say so. */
export function describeWithPulumi(name: string, tests: () => void): void {
  if (folder === undefined)
    process.stderr.write(`There is no pulumi on the PATH: the tests "${name}" are skipped.\n`);
  (folder === undefined ? describe.skip : describe)(name, tests);
}

/** A program of Pulumi's with a backend of its own. */
export interface PulumiProject {
  /** Set before the first test, as the stack and the environment. */
  directory: string;
  stack: Stack;
  /** What everything that runs here gets beside its own environment. */
  environment: Record<string, string>;
  /** All that Pulumi printed, and every error. */
  readonly said: string[];
}

/**
 * A folder with what `prepare` puts there, where packages resolve as they do in a project that has asterisk-iac installed,
 * and a stack in a backend of its own. Gone after the tests.
 */
export function usePulumiProject(prepare: (directory: string) => Promise<void>): PulumiProject {
  const project: PulumiProject = {
    directory: "",
    stack: undefined as unknown as Stack,
    environment: {},
    said: [],
  };
  beforeAll(async () => {
    project.directory = await mkdtemp(join(tmpdir(), "asterisk-iac-pulumi-"));
    await installPackages(project.directory);
    await prepare(project.directory);
    Object.assign(project.environment, {
      // First the node that this checkout has.
      PATH: [join(repository, "node_modules/.bin"), folder, ...folders].join(delimiter),
      PULUMI_BACKEND_URL: `file://${project.directory}`,
      PULUMI_HOME: join(project.directory, "home"),
      PULUMI_CONFIG_PASSPHRASE: "test",
      PULUMI_SKIP_UPDATE_CHECK: "true",
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
      // The examples' types are checked in a test of their own.
      PULUMI_NODEJS_TRANSPILE_ONLY: "true",
    });
    project.stack = await openStack(project);
  }, 60_000);
  afterAll(async () => {
    await endProcessesIn(project.directory);
    await rm(project.directory, { recursive: true, force: true });
  });
  return project;
}

/** Where Pulumi was killed, the process with the handlers stays: it has a process group of its own. */
async function endProcessesIn(directory: string): Promise<void> {
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const where = await readlink(`/proc/${pid}/cwd`).catch(() => undefined);
    if (where === directory) process.kill(Number(pid), "SIGKILL");
  }
}

/** As the build does it, without a look at the types. */
const compilation = {
  swcrc: false,
  jsc: { parser: { syntax: "typescript" }, target: "es2024", rewriteRelativeImportExtensions: true },
  module: { type: "es6" },
} as const;

/** What `npm install` leaves in a project that needs asterisk-iac: this checkout, built, and all that is beside it. */
async function installPackages(directory: string): Promise<void> {
  const modules = join(directory, "node_modules");
  const own = join(modules, "asterisk-iac");
  await mkdir(own, { recursive: true });
  const others = (await readdir(join(repository, "node_modules"))).filter((name) => name !== "asterisk-iac");
  await Promise.all(
    others.map((name) => symlink(join(repository, "node_modules", name), join(modules, name))),
  );
  await copyFile(join(repository, "package.json"), join(own, "package.json"));
  for await (const file of glob("{core,asterisk,engine,provider}/**/*.ts", { cwd: repository })) {
    const { code } = await transformFile(join(repository, file), compilation);
    const compiled = join(own, "dist", file.replace(/\.ts$/, ".js"));
    await mkdir(dirname(compiled), { recursive: true });
    await writeFile(compiled, code);
  }
}

/** The project's stack, as everybody who works on it has it. */
export async function openStack({ directory, environment }: PulumiProject): Promise<Stack> {
  const pulumiCommand = await PulumiCommand.get({ skipVersionCheck: true });
  return LocalWorkspace.createOrSelectStack(
    { stackName: "test", workDir: directory },
    { envVars: environment, pulumiCommand },
  );
}

/** Configures the stack as a person does, with the script of the examples. */
export async function configureFromLab(
  { directory, environment }: PulumiProject,
  lab: string,
): Promise<void> {
  await promisify(execFile)(join(repository, "examples/pulumi/configure-from-lab"), [lab], {
    cwd: directory,
    env: { ...process.env, ...environment },
  });
}

/**
 * Where a secret shows, with what stands around it: in the state, its copies and the history, or in anything that was
 * printed. A key is looked for line by line, because line breaks are written in more than one way.
 */
export async function leaksOf(
  { directory, said }: PulumiProject,
  secrets: readonly string[],
): Promise<string[]> {
  const texts = [said.join("")];
  for await (const file of glob("**/*.json*", { cwd: join(directory, ".pulumi") }))
    texts.push(await readFile(join(directory, ".pulumi", file), "utf8"));
  const words = secrets.flatMap((secret) => secret.match(/[A-Za-z0-9+/=_-]{16,}/g) ?? []);
  if (texts.length < 2 || words.length < secrets.length)
    throw new Error("there is nothing to look for, or in");
  return texts.flatMap((text) =>
    words.flatMap((word) => {
      const at = text.indexOf(word);
      return at < 0
        ? []
        : [
            `${text.slice(Math.max(0, at - 200), at)}<secret>${text.slice(at + word.length, at + word.length + 60)}`,
          ];
    }),
  );
}

/** Where what Pulumi prints goes. */
export interface Listener {
  readonly onOutput: (text: string) => void;
  readonly onError: (text: string) => void;
}

/** Runs something of Pulumi's, and keeps all that it prints. */
export async function listen<T>(
  { said }: PulumiProject,
  work: (listener: Listener) => Promise<T>,
): Promise<T> {
  const keep = (text: string): void => void said.push(text);
  return work({ onOutput: keep, onError: keep });
}

/** What Pulumi printed while it failed. */
export async function failure(
  project: PulumiProject,
  work: (listener: Listener) => Promise<unknown>,
): Promise<string> {
  const before = project.said.length;
  const error = await listen(project, work).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error === undefined) throw new Error("it did not fail");
  project.said.push(String(error));
  return project.said.slice(before).join("");
}
