import type { ServerDeclaration } from "../session.ts";

/** The Secret with the credentials of the account that reads a server's calls. */
export function callsCredentials({ name, spec }: Pick<ServerDeclaration, "name" | "spec">): string {
  return spec.calls?.credentialsSecretRef.name ?? `${name}-calls`;
}
