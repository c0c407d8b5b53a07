import { expect, test } from "@jest/globals";
import { readFile, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { KillScenario } from "../support/kill-scenario.ts";
import { useLab } from "../support/lab.ts";

const lab = useLab();

/** A way to a port that swallows everything, both ways and without a word, once so many bytes have gone out. */
async function swallowing(
  port: number,
  bytes: number,
): Promise<{ port: number; silentSince: () => number; close: () => void }> {
  let sent = 0;
  let since = Infinity;
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    near.on("data", (data) => {
      sent += data.length;
      if (sent < bytes) far.write(data);
      else since = Math.min(since, performance.now());
    });
    far.on("data", (data) => {
      if (sent < bytes) near.write(data);
    });
    for (const socket of [near, far]) socket.on("error", () => socket.destroy());
  });
  const { promise, resolve } = Promise.withResolvers<undefined>();
  server.listen(0, "127.0.0.1", () => resolve(undefined));
  await promise;
  return {
    port: (server.address() as AddressInfo).port,
    silentSince: () => since,
    close: () => server.close(),
  };
}

test("a connection that goes silent in the middle of a write holds up nobody: the next run applies (row 37)", async () => {
  const [server] = lab.servers;
  if (server === undefined) throw new Error("the lab has no server");
  const scenario = await KillScenario.prepare("apply", server, lab.directory);
  await scenario.put("source", "dialplan.d/big.conf", `[big]\n${";filler\n".repeat(300_000)}`);
  const way = await swallowing(server.sshPort, 1_500_000);
  const manifest = join(lab.directory, `apply-${server.name}.yaml`);
  const hosts = join(lab.directory, "secrets", `${server.name}-ssh`, "known_hosts");
  const [text, known] = await Promise.all([readFile(manifest, "utf8"), readFile(hosts, "utf8")]);
  await writeFile(manifest, text.replace(`port: ${server.sshPort}`, `port: ${way.port}`));
  await writeFile(hosts, known + known.replaceAll(`:${server.sshPort}`, `:${way.port}`));
  await expect(scenario.run()).rejects.toMatchObject({ code: "ConnectionLost" });
  expect(performance.now() - way.silentSince()).toBeLessThan(20_000);
  way.close();
  await writeFile(manifest, text);
  await writeFile(hosts, known);
  expect((await scenario.run()).outcome).toBe("Applied");
  expect((await scenario.run()).outcome).toBe("NothingToDo");
});
