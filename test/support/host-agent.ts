import { createServer } from "node:net";
import { join } from "node:path";
import type { ParsedKey } from "ssh2";
import ssh2 from "ssh2";

/** A fake ssh-agent on a socket in `directory`: it holds the keys and signs with them, as the real protocol wants it. */
export async function startAgent(
  directory: string,
  keys: readonly (string | Buffer)[],
): Promise<{ socket: string; signatures: () => number; close(): Promise<void> }> {
  const parsed = keys.map((key) => ssh2.utils.parseKey(key) as ParsedKey);
  let signed = 0;
  const server = createServer((stream) => {
    const agent = new ssh2.AgentProtocol(false);
    agent.on("identities", (request) => agent.getIdentitiesReply(request, parsed));
    agent.on("sign", (request, publicKey: ParsedKey, data: Buffer, options: { hash?: string }) => {
      signed += 1;
      const key = parsed.find((candidate) => candidate.getPublicSSH().equals(publicKey.getPublicSSH()));
      if (key === undefined) agent.failureReply(request);
      else agent.signReply(request, key.sign(data, options.hash));
    });
    stream.on("error", () => undefined);
    stream.pipe(agent).pipe(stream);
  });
  const socket = join(directory, "agent.sock");
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return {
    socket,
    signatures: () => signed,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
