import { resolve } from "node:path";
import { z } from "zod";
import { allowances } from "../core/guard.ts";
import { asteriskServer } from "../core/resource/index.ts";
import type { AsteriskServerSpec } from "../core/resource/index.ts";
import { DirectorySource } from "../engine/directory-source.ts";
import { MemorySecrets } from "../engine/memory-secrets.ts";
import { RecordSource } from "../engine/record-source.ts";
import type { ServerDeclaration, ServerResources } from "../engine/session.ts";

/** What is kept in state names its shape, so that later versions can read it. */
export const stateVersion = 1;

/** Who applies, as the server's record names it. */
export const front = "pulumi";

/**
 * All that the handlers of a resource need to reach its server; a secret output of AsteriskServer. It is small, since it
 * is in the state of every resource of the server.
 */
export const connection = z.object({
  stateVersion: z.literal(stateVersion, {
    error: () => "was written by a later version of asterisk-iac, which is needed to read it",
  }),
  /** The server's name in messages and records. */
  name: z.string(),
  /** The machine and its configuration directory, as they were at the creation; another one is another server. */
  serverId: z.string(),
  spec: asteriskServer.shape.spec,
  secrets: z.record(z.string(), z.record(z.string(), z.string())),
  /** Text of the import record without its files, where no folder keeps it. */
  importRecord: z.string().optional(),
  allow: z.array(z.enum(allowances)),
});
export type Connection = z.infer<typeof connection>;

/** The folder with a server's files, if it has one. Absolute, where the program runs. */
export function sourceDirectory({ source }: AsteriskServerSpec): string | undefined {
  return source?.directory === undefined ? undefined : resolve(source.directory);
}

/** The server as the engine has it, with these resources. */
export function declarationOf(
  { name, spec, importRecord }: Connection,
  resources: ServerResources,
): ServerDeclaration {
  const source =
    spec.source?.directory === undefined
      ? new RecordSource(`AsteriskServer ${name}`, importRecord)
      : new DirectorySource(resolve(spec.source.directory));
  return { name, spec, source, ...resources };
}

/** The secrets that reach a server, and the key of its record. */
export function secretsOf({ secrets }: Connection): MemorySecrets {
  return new MemorySecrets(secrets);
}
