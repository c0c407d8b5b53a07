import { generateKeyPairSync } from "node:crypto";
import { readFile } from "node:fs/promises";
import { beforeAll, describe, expect, test } from "@jest/globals";
import type { ParsedKey } from "ssh2";
import { Login } from "../../../asterisk/ssh/credentials.ts";
import type { Credentials } from "../../../asterisk/ssh/credentials.ts";
import { openSSH } from "../../../asterisk/ssh/ssh-host.ts";
import { generateKeyPair } from "../../../lab/keys.ts";
import { startAgent } from "../../support/host-agent.ts";
import { labLogin, onlyServer, rejection, startSSHD } from "../../support/host-sshd.ts";
import type { ExtraSSHD } from "../../support/host-sshd.ts";
import { useLab } from "../../support/lab.ts";
import { temporaryDirectory } from "../../support/temporary.ts";

const lab = useLab();
const PASSWORD = "correct horse battery staple";
const PASSPHRASE = "a phrase to pass";

/** Private keys of all forms, made by ssh-keygen; sshd takes each of them. */
const keys: Record<string, string> = {};
let sshd: ExtraSSHD;
let keysOnly: ExtraSSHD;

beforeAll(async () => {
  const server = onlyServer(lab);
  const forms = {
    "OpenSSH ed25519": ["-t", "ed25519", "-N", ""],
    "OpenSSH ed25519 with a passphrase": ["-t", "ed25519", "-N", PASSPHRASE],
    "OpenSSH RSA": ["-t", "rsa", "-b", "2048", "-N", ""],
    "PEM RSA": ["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", ""],
    "PEM RSA with a passphrase": ["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", PASSPHRASE],
    "PEM ECDSA": ["-t", "ecdsa", "-m", "PEM", "-N", ""],
  };
  let authorized = "";
  for (const [name, args] of Object.entries(forms)) {
    const file = `/run/key-${Object.keys(keys).length}`;
    await server.run(["ssh-keygen", "-q", ...args, "-f", file]);
    keys[name] = (await server.run(["cat", file])).stdout.toString();
    authorized += (await server.run(["cat", `${file}.pub`])).stdout.toString();
  }
  const set = await server.run(["sh", "-c", "cat >/run/authorized && chpasswd"], { input: "" });
  expect(set.code).toBe(0);
  await server.run(["sh", "-c", "cat >/run/authorized"], { input: authorized });
  const changed = await server.run(["chpasswd"], { input: `admin:${PASSWORD}\n` });
  expect(changed).toMatchObject({ code: 0 });
  const authorizedKeys = "AuthorizedKeysFile /run/authorized";
  sshd = await startSSHD(server, [authorizedKeys, "StrictModes no"]);
  keysOnly = await startSSHD(server, [authorizedKeys, "StrictModes no", "PasswordAuthentication no"]);
});

const logIn = async (credentials: Credentials, at = sshd) =>
  openSSH({ ...(await labLogin(onlyServer(lab), "admin", { sshd: at })), credentials });

async function expectIn(credentials: Credentials): Promise<void> {
  const host = await logIn(credentials);
  expect((await host.run("id -un")).stdout.toString()).toBe("admin\n");
  await host.close();
}

/** A key that no sshd knows. */
const stranger = (): string => generateKeyPair("stranger").privateKey;

describe("private keys", () => {
  test.each(["OpenSSH ed25519", "OpenSSH RSA", "PEM RSA", "PEM ECDSA"])("%s", async (form) => {
    await expectIn({ privateKey: keys[form] ?? "" });
  });

  test.each(["OpenSSH ed25519 with a passphrase", "PEM RSA with a passphrase"])("%s", async (form) => {
    const privateKey = keys[form] ?? "";
    await expectIn({ privateKey, passphrase: PASSPHRASE });
    expect(await rejection(logIn({ privateKey }))).toMatchObject({ code: "SecretMissing" });
    const wrong = await rejection(logIn({ privateKey, passphrase: "wrong phrase" }));
    expect(wrong).toMatchObject({ code: "AuthenticationFailed" });
    expect(`${wrong.message}${wrong.hint}`).not.toContain("wrong phrase");
  });

  test("what is no private key is said to be none", async () => {
    const publicKey = generateKeyPair("x").publicKey;
    expect((await rejection(logIn({ privateKey: publicKey }))).message).toContain("it is a public key");
    const pkcs8 = generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" });
    expect((await rejection(logIn({ privateKey: pkcs8 }))).hint).toContain("ssh-keygen -p");
  });

  test("a signature with SHA-1 is never made", () => {
    const login = new Login("admin", { privateKey: keys["OpenSSH RSA"] ?? "" });
    const method = login.next(null) as { key: ParsedKey };
    expect(method.key.sign(Buffer.from("data"), "sha256")).toBeInstanceOf(Buffer);
    expect(method.key.sign(Buffer.from("data"), "sha1")).toBeInstanceOf(Error);
    expect(login.failure("admin")).toMatchObject({ code: "AlgorithmRefused" });
  });
});

describe("ssh-agent", () => {
  test("its key logs in", async () => {
    const agent = await startAgent(temporaryDirectory(), [stranger(), keys["OpenSSH RSA"] ?? ""]);
    await expectIn({ agent: agent.socket });
    expect(agent.signatures()).toBe(1);
    await agent.close();
  });

  test("of many keys only four are offered, so that the password's turn comes", async () => {
    const agent = await startAgent(temporaryDirectory(), Array.from({ length: 8 }, stranger));
    const offers = async () =>
      (await sshd.log()).match(/userauth-request for user admin .* method publickey/g)?.length ?? 0;
    const before = await offers();
    await expectIn({ agent: agent.socket, password: PASSWORD });
    expect((await offers()) - before).toBe(4);
    await agent.close();
  });

  test("one that is not there is named in the error", async () => {
    const error = await rejection(logIn({ agent: "/nonexistent/agent" }));
    expect(error).toMatchObject({ code: "AuthenticationFailed" });
    expect(error.message).toContain("Failed to connect to agent");
  });
});

describe("passwords", () => {
  test("log in after a key that the server does not take", async () => {
    await expectIn({ privateKey: stranger(), password: PASSWORD });
  });

  test("are not sent to a server that takes none", async () => {
    const error = await rejection(logIn({ privateKey: stranger(), password: PASSWORD }, keysOnly));
    expect(error.message).toContain("The server takes: publickey");
    expect(error.message).not.toContain("a password");
    expect(await keysOnly.log()).not.toMatch(/method password/);
  });

  test("that are wrong are tried once, and never shown", async () => {
    const before = (await sshd.log()).match(/Failed password/g)?.length ?? 0;
    const error = await rejection(logIn({ privateKey: stranger(), password: "wrong one" }));
    expect(error).toMatchObject({ code: "AuthenticationFailed", where: { server: "pbx1" } });
    expect(error.message).toMatch(
      /Offered: the key ssh-ed25519 SHA256:\S+, then a password\. The server takes: /,
    );
    expect(`${error.message}${error.hint}`).not.toContain("wrong one");
    const log = await sshd.log();
    expect(log.match(/Failed password/g)).toHaveLength(before + 1);
  });
});

test("no credential at all is told before anything is sent", async () => {
  const privateKey = await readFile(onlyServer(lab).privateKeyFile);
  expect(new Login("admin", { privateKey }).next(["password"])).toBe(false);
  expect(await rejection(logIn({}))).toMatchObject({ code: "SecretMissing" });
});
