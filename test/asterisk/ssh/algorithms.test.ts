import { describe, expect, test } from "@jest/globals";
import { algorithmsFor } from "../../../asterisk/ssh/algorithms.ts";
import { openSSH } from "../../../asterisk/ssh/ssh-host.ts";
import { labLogin, onlyServer, rejection, startSSHD } from "../../support/host-sshd.ts";
import { useLab } from "../../support/lab.ts";

const lab = useLab();

describe("row 47: a server that offers only weak algorithms is refused, and told which", () => {
  test.each([
    ["key exchange", ["KexAlgorithms diffie-hellman-group14-sha1,diffie-hellman-group-exchange-sha1"]],
    ["cipher", ["Ciphers aes128-cbc,3des-cbc"]],
    ["MAC", ["Ciphers aes128-ctr", "MACs hmac-sha1,hmac-md5"]],
    ["host key", ["HostKeyAlgorithms ssh-rsa"]],
  ])("%s", async (what, lines) => {
    const sshd = await startSSHD(onlyServer(lab), lines);
    const hostKey = what === "host key" ? "rsa" : "ed25519";
    const error = await rejection(openSSH(await labLogin(onlyServer(lab), "asterisk", { sshd, hostKey })));
    expect(error).toMatchObject({ code: "AlgorithmRefused" });
    expect(error.message).toContain(`no safe ${what} algorithm`);
    for (const weak of lines.at(-1)?.split(/[ ,]/).slice(1) ?? []) expect(error.message).toContain(weak);
    expect(await sshd.log()).not.toContain("userauth-request");
  });
});

test("a key exchange without SHA-1 is agreed on with a server that also offers weak ones", async () => {
  const sshd = await startSSHD(onlyServer(lab), [
    "KexAlgorithms diffie-hellman-group14-sha1,diffie-hellman-group14-sha256",
    "Ciphers 3des-cbc,aes256-ctr",
    "MACs hmac-sha1,hmac-sha2-256",
  ]);
  const host = await openSSH(await labLogin(onlyServer(lab), "asterisk", { sshd }));
  expect((await host.run("echo in")).stdout.toString()).toBe("in\n");
  await host.close();
  expect(await sshd.log()).toMatch(/kex: algorithm: diffie-hellman-group14-sha256/);
  expect(await sshd.log()).toMatch(/cipher: aes256-ctr MAC: hmac-sha2-256 /);
});

test("nothing that is offered is weak", () => {
  const offered = Object.values(algorithmsFor(["ssh-ed25519", "ssh-rsa"])).flat();
  expect(offered.filter((name) => /sha1|cbc|md5|arcfour|^ssh-rsa$|dss|-96/.test(name))).toEqual([]);
});
