import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "@jest/globals";
import { labDown, labUp, type AsteriskVersion, type LabServer } from "../../lab/lab.ts";

export type { LabServer } from "../../lab/lab.ts";

/** What the tests of one file or one `describe` have of a lab. Both fields are set before the first test. */
export interface Lab {
  directory: string;
  servers: LabServer[];
}

export interface UseLabOptions {
  /** Default 1. */
  readonly count?: number;
  /** Default 22. */
  readonly asterisk?: AsteriskVersion;
  readonly freepbx?: boolean;
}

/** What a command prints on a server, as root. */
export async function outputOf(server: LabServer | undefined, ...command: string[]): Promise<string> {
  return (await server?.run(command))?.stdout.toString() ?? "";
}

/** The first lab of a machine makes its root tree: half a minute, and more beside other tests. */
const upDeadlineMs = 600_000;

/**
 * Real servers for the tests of the `describe` or file that calls it: up before the first, gone after the last, and
 * gone too if the test process is killed. They live in a temporary directory of their own.
 */
export function useLab(options: UseLabOptions = {}): Lab {
  const lab: Lab = { directory: "", servers: [] };
  beforeAll(async () => {
    lab.directory = await mkdtemp(join(tmpdir(), "asterisk-iac-lab-"));
    const { servers } = await labUp({ ...options, directory: lab.directory, tiedToParent: true });
    lab.servers.push(...servers);
  }, upDeadlineMs);
  afterAll(async () => {
    await labDown({ directory: lab.directory });
    await rm(lab.directory, { recursive: true, force: true });
  });
  return lab;
}
