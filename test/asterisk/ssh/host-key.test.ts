import { beforeAll, describe, expect, test } from "@jest/globals";
import { openSSH } from "../../../asterisk/ssh/ssh-host.ts";
import { labLogin, onlyServer, rejection, startSSHD } from "../../support/host-sshd.ts";
import type { ExtraSSHD } from "../../support/host-sshd.ts";
import { useLab } from "../../support/lab.ts";

const lab = useLab();
let sshd: ExtraSSHD;
beforeAll(async () => {
  sshd = await startSSHD(onlyServer(lab));
});

const options = (hostKey: "ed25519" | "rsa" | "ecdsa" = "ed25519") =>
  labLogin(onlyServer(lab), "asterisk", { sshd, hostKey });

/** How many logins sshd saw begin. A user's name is the first thing that a client tells of itself. */
const attempts = async (): Promise<number> =>
  (await sshd.log()).match(/userauth-request for user/g)?.length ?? 0;

/** Tries to connect; the error, after making sure that sshd was told no user and no credential. */
async function refusedBeforeLogin(change: object) {
  const before = await attempts();
  const connections = ((await sshd.log()).match(/Connection from/g) ?? []).length;
  const error = await rejection(openSSH({ ...(await options()), ...change }));
  await expectClosed(connections);
  expect(await attempts()).toBe(before);
  return error;
}

/** Waits until sshd has logged the end of one more connection, so that nothing of it is still to come. */
async function expectClosed(before: number): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const log = await sshd.log();
    const opened = (log.match(/Connection from/g) ?? []).length;
    const ended = (log.match(/(Connection (closed|reset)|Disconnected from|Unable to negotiate)/g) ?? [])
      .length;
    if (opened > before && ended >= opened) return;
    if (performance.now() > deadline)
      throw new Error(`sshd did not log the end of a connection:\n${log.slice(-2000)}`);
  }
}

test("the guard of these tests: an accepted key is followed by a login that sshd logs", async () => {
  const before = await attempts();
  const host = await openSSH(await options());
  expect((await host.run("id -un")).stdout.toString()).toBe("asterisk\n");
  await host.close();
  expect(await attempts()).toBeGreaterThan(before);
});

test("row 11: an unknown host key is refused with its fingerprint and the line to pin it, and no login is tried", async () => {
  const error = await refusedBeforeLogin({ knownHosts: "" });
  expect(error).toMatchObject({ code: "HostKeyUnknown", where: { server: "pbx1" } });
  expect(error.message).toMatch(/ssh-ed25519 SHA256:[A-Za-z0-9+/]{43}/);
  expect(error.hint).toContain(`[127.0.0.1]:${sshd.port} ${await sshd.hostKey("ed25519")}`);
});

test("row 10: a changed host key is a hard failure, and no login is tried", async () => {
  const changed = onlyServer(lab).knownHosts.replace(/^\S+/, `[127.0.0.1]:${sshd.port}`);
  for (const hostKeyPolicy of ["Pinned", "TrustOnFirstUse"]) {
    const error = await refusedBeforeLogin({ knownHosts: changed, hostKeyPolicy });
    expect(error).toMatchObject({ code: "HostKeyMismatch" });
    expect(error.message).toContain("has changed");
  }
});

test("a revoked host key is refused, whatever else is known, and no login is tried", async () => {
  const { knownHosts } = await options();
  const revoked = `@revoked * ${await sshd.hostKey("ed25519")}\n${knownHosts}`;
  expect(await refusedBeforeLogin({ knownHosts: revoked })).toMatchObject({ code: "HostKeyMismatch" });
});

test("a host that is known only by a certificate authority is refused", async () => {
  const knownHosts = `@cert-authority * ${await sshd.hostKey("ed25519")}`;
  for (const hostKeyPolicy of ["Pinned", "TrustOnFirstUse"] as const) {
    const error = await rejection(openSSH({ ...(await options()), knownHosts, hostKeyPolicy }));
    expect(error).toMatchObject({ code: "HostKeyUnknown" });
    expect(error.message).toContain("certificate authority");
  }
});

test.each(["ed25519", "rsa", "ecdsa"] as const)(
  "of a server with several keys, the known %s key is asked for",
  async (type) => {
    const host = await openSSH(await options(type));
    expect((await host.run("echo in")).stdout.toString()).toBe("in\n");
    await host.close();
  },
);

test("a server that lost the type of key that it is known by has changed", async () => {
  const onlyRSA = await startSSHD(onlyServer(lab), ["HostKeyAlgorithms rsa-sha2-512"]);
  const error = await rejection(openSSH(await labLogin(onlyServer(lab), "asterisk", { sshd: onlyRSA })));
  expect(error).toMatchObject({ code: "HostKeyMismatch" });
  expect(error.message).toContain("rsa-sha2-512");
  expect(await onlyRSA.log()).not.toContain("userauth-request");
});

describe("TrustOnFirstUse", () => {
  test("stores the key of a first contact before the login, and from then on it is pinned", async () => {
    const lines: string[] = [];
    const before = await attempts();
    const onNewHostKey = async (line: string): Promise<void> => {
      expect(await attempts()).toBe(before);
      lines.push(line);
    };
    const tofu = { ...(await options()), hostKeyPolicy: "TrustOnFirstUse" as const, onNewHostKey };
    await (await openSSH({ ...tofu, knownHosts: "" })).close();
    expect(lines).toEqual([`[127.0.0.1]:${sshd.port} ${await sshd.hostKey("ed25519")}`]);
    await (await openSSH({ ...tofu, knownHosts: `${lines[0]}\n` })).close();
    expect(lines).toHaveLength(1);
  });

  test("where the key can't be stored, no login is tried", async () => {
    const error = await refusedBeforeLogin({
      knownHosts: "",
      hostKeyPolicy: "TrustOnFirstUse",
      onNewHostKey: () => Promise.reject(new Error("disk full")),
    });
    expect(error.message).toContain("disk full");
  });
});
