import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "@jest/globals";
import { DynamicProvider } from "./dynamic-provider.ts";
import type { Properties } from "./dynamic-provider.ts";
import type { LabServer } from "./lab.ts";
import { layOutProgram, serializedProviders } from "./pulumi-program.ts";
import type { SerializedProviders } from "./pulumi-program.ts";

/** A program's directory and the handlers of its resources. Both fields are set before the first test. */
export interface Program {
  directory: string;
  providers: SerializedProviders;
  /** A process of Pulumi's that is gone after the tests. */
  start(env?: Readonly<Record<string, string>>): Promise<DynamicProvider>;
}

/** A program that the tests of a file drive as Pulumi's engine does, without an engine. */
export function useProgram(): Program {
  const started: DynamicProvider[] = [];
  const program: Program = {
    directory: "",
    providers: { AsteriskServer: "", AMIAccount: "", ConfFile: "" },
    start: async (env) => {
      const provider = await DynamicProvider.start(program.directory, program.providers, env);
      started.push(provider);
      return provider;
    },
  };
  beforeAll(async () => {
    program.directory = await mkdtemp(join(tmpdir(), "asterisk-iac-program-"));
    await layOutProgram(program.directory);
    program.providers = await serializedProviders(program.directory);
  }, 120_000);
  afterAll(async () => {
    await Promise.all(started.map((provider) => provider.stop("SIGKILL")));
    await rm(program.directory, { recursive: true, force: true });
  });
  return program;
}

/** What a program gives an AsteriskServer to reach a lab's server. */
export async function serverInputs(lab: LabServer, more: Properties = {}): Promise<Properties> {
  return {
    name: lab.name,
    ssh: {
      host: lab.host,
      port: lab.sshPort,
      user: lab.users.owner,
      privateKey: await readFile(lab.privateKeyFile, "utf8"),
      knownHosts: lab.knownHosts,
    },
    ami: {
      host: lab.host,
      port: lab.amiPort,
      via: "Direct",
      username: lab.amiUsername,
      password: lab.amiPassword,
    },
    updateDirection: "ToAsterisk",
    ...more,
  };
}
