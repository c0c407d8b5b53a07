import { readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer as createTCPServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTLSServer } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { AMIClient, type AMIOptions } from "../../../asterisk/ami/client.ts";
import { Authority, type Certificate } from "../../support/certificates.ts";
import { useLab, type LabServer } from "../../support/lab.ts";
import { amiOf } from "../../support/lab-connections.ts";
import { until } from "../../support/until.ts";

const name = "pbx.example";
let directory = "";
let ca = "";
let otherCA = "";
let good: Certificate;
let expired: Certificate;
let wrongName: Certificate;
let foreign: Certificate;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "asterisk-iac-test-"));
  const authority = await Authority.create(directory, "authority");
  const other = await Authority.create(directory, "other");
  [ca, otherCA] = [await authority.certificate(), await other.certificate()];
  good = await authority.sign(`DNS:${name},IP:127.0.0.1`);
  expired = await authority.sign(`DNS:${name}`, -1);
  wrongName = await authority.sign("DNS:elsewhere.example");
  foreign = await other.sign(`DNS:${name}`);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const clients: AMIClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
});

async function connect(options: AMIOptions): Promise<AMIClient> {
  const client = await AMIClient.connect(options);
  clients.push(client);
  return client;
}

/** Resolves when no private socket of this process is left; other tests have theirs. */
async function privateSocketsGone(): Promise<void> {
  const ours = `asterisk-iac-ami-${process.pid}-`;
  await until(() => !readdirSync(tmpdir()).some((entry) => entry.startsWith(ours)));
}

async function freePort(): Promise<number> {
  const server = createTCPServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe.each([22, 16] as const)("AMI over TLS of Asterisk %i", (asterisk) => {
  const lab = useLab({ asterisk });
  let server: LabServer;
  let port = 0;
  beforeAll(async () => {
    const [first] = lab.servers;
    if (first === undefined) throw new Error("the lab has no server");
    server = first;
    port = await freePort();
  });

  /** Makes the server show a certificate, by a file of its own and a reload, and waits until it is listening. */
  async function show(certificate: Certificate): Promise<void> {
    const file = `/etc/asterisk/tls-${Math.random().toString(36).slice(2)}.pem`;
    const settings = `tlsenable=yes\\ntlsbindaddr=127.0.0.1:${port}\\ntlscertfile=${file}\\ntlsprivatekey=${file}`;
    const edit = `/^tls/d;s|^\\[general\\]|[general]\\n${settings}|`;
    const script = [
      `cat >${file}`,
      `chown asterisk ${file}`,
      `sed -i '${edit}' /etc/asterisk/manager.conf`,
      "asterisk -rx 'manager reload'",
    ].join(" && ");
    const { code, stderr } = await server.run(["sh", "-c", script], {
      input: certificate.certificate + certificate.key,
    });
    expect({ code, stderr }).toMatchObject({ code: 0 });
  }

  const overTLS = (options: { ca?: string; serverName?: string; port?: number } = {}): AMIOptions => ({
    ...amiOf(server),
    transport: { kind: "tls", host: "127.0.0.1", port, ca, serverName: name, ...options },
  });

  test("a good certificate: logged in, lists and events work, no private socket is left", async () => {
    await show(good);
    const client = await connect(overTLS());
    expect(client.fullyBooted).toBe(true);
    expect((await client.list("CoreShowChannels")).events).toHaveLength(1);
    await privateSocketsGone();
    const byAddress = await connect(overTLS({ serverName: "127.0.0.1" }));
    expect((await byAddress.action("Ping")).get("Ping")).toBe("Pong");
  });

  test("a certificate for another name, one of another authority, and one that expired are refused", async () => {
    const refused = (why: string) => ({
      code: "CertificateRefused",
      next: "Stalled",
      message: expect.stringContaining(why) as unknown,
      where: { server: "pbx1" },
    });
    await show(wrongName);
    await expect(connect(overTLS())).rejects.toMatchObject(refused("ERR_TLS_CERT_ALTNAME_INVALID"));
    await show(foreign);
    await expect(connect(overTLS())).rejects.toMatchObject(refused("UNABLE_TO_VERIFY_LEAF_SIGNATURE"));
    await expect(connect(overTLS({ ca: otherCA }))).resolves.toMatchObject({ fullyBooted: true });
    await show(expired);
    await expect(connect(overTLS())).rejects.toMatchObject(refused("CERT_HAS_EXPIRED"));
  });

  test("without an authority given, one that no system trusts is refused", async () => {
    await show(good);
    const transport = { kind: "tls", host: "127.0.0.1", port, serverName: name } as const;
    await expect(connect({ ...overTLS(), transport })).rejects.toMatchObject({ code: "CertificateRefused" });
  });

  test("TLS asked of the plain port is no login, and says so", async () => {
    await expect(
      connect({ ...overTLS({ port: server.amiPort }), deadlines: { connectMs: 2_000 } }),
    ).rejects.toMatchObject({ code: "Unreachable", hint: expect.stringContaining("TLS") as unknown });
  });

  test("plain asked of the TLS port is no login, and says so", async () => {
    const plain = { ...amiOf(server), transport: { kind: "tcp", host: "127.0.0.1", port } as const };
    await expect(connect({ ...plain, deadlines: { connectMs: 2_000 } })).rejects.toMatchObject({
      code: "TimedOut",
    });
  });
});

test("a certificate that is refused: not one byte was sent in it, nothing was tried in the clear", async () => {
  let connections = 0;
  let bytes = 0;
  const impostor = createTLSServer({ cert: expired.certificate, key: expired.key }, (socket) =>
    socket.on("data", (data) => (bytes += data.length)),
  );
  impostor.on("connection", () => (connections += 1)).on("tlsClientError", () => undefined);
  await new Promise<void>((resolve) => impostor.listen(0, "127.0.0.1", resolve));
  const { port } = impostor.address() as AddressInfo;
  const transport = { kind: "tls", host: "127.0.0.1", port, ca, serverName: name } as const;
  await expect(connect({ transport, username: "u", password: "p", label: "pbx1" })).rejects.toMatchObject({
    code: "CertificateRefused",
  });
  await new Promise((resolve) => impostor.close(resolve));
  expect({ connections, bytes }).toEqual({ connections: 1, bytes: 0 });
});
