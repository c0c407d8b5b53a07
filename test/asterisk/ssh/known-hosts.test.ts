import { describe, expect, test } from "@jest/globals";
import { fingerprint, knownHostsLine, lookUp } from "../../../asterisk/ssh/known-hosts.ts";

const ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG5GGAbobVLXYPYloPSI7+KbEGMMuDk/PoVU676G3AZ3";
const OTHER =
  "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=";
const blobOf = (key: string): Buffer => Buffer.from(key.split(" ")[1] ?? "", "base64");

const isKnown = (text: string, host: string, port = 22): boolean =>
  lookUp(text, host, port).keys.some((key) => key.blob.equals(blobOf(ED25519)));

describe("which lines speak of a host", () => {
  test.each([
    ["its name", "pbx.example.com", true],
    ["its name in another case", "PBX.Example.com", true],
    ["one of several names", "other,192.0.2.7,pbx.example.com", true],
    ["a wildcard", "*.example.com", true],
    ["a question mark", "pb?.example.com", true],
    ["a name that only begins the same", "pbx.example.co", false],
    ["a dot is not a wildcard", "pbx-example.com", false],
    ["a negated name", "*.example.com,!pbx.example.com", false],
    ["a negated name of another host", "*.example.com,!fax.example.com", true],
    ["only a negation", "!fax.example.com", false],
  ])("%s", (_, hosts, expected) => {
    expect(isKnown(`${hosts} ${ED25519}\n`, "pbx.example.com")).toBe(expected);
  });

  test("names hashed by ssh-keygen -H, with and without a port", () => {
    const text = [
      `|1|i6iunY9086DJwHioEMsKl6QLWVY=|tvxKHJ/S91D//ZdTEDSLO5gm5/I= ${ED25519} comment here`,
      `|1|XxS70e5V4Ot3XyteVZpuuCe6Lu8=|cbhy5AJNxN1J5jG5lneZSN8GPFo= ${ED25519}`,
    ];
    expect(isKnown(text[0] ?? "", "pbx.example.com")).toBe(true);
    expect(isKnown(text[0] ?? "", "fax.example.com")).toBe(false);
    expect(isKnown(text[1] ?? "", "pbx.example.com", 2222)).toBe(true);
    expect(isKnown(text[1] ?? "", "pbx.example.com", 2223)).toBe(false);
  });

  test("comments, empty and broken lines, tabs and CRLF", () => {
    const text = `# comment\r\n\r\npbx\r\npbx ssh-ed25519\r\npbx ssh-rsa AAAA\r\n \tpbx \t${ED25519.replace(" ", "\t")} x\r\n`;
    expect(lookUp(text, "pbx", 22).keys).toHaveLength(1);
  });

  test("a key whose bytes say another type than its line is passed over", () => {
    expect(lookUp(`pbx ${ED25519.replace("ssh-ed25519", "ssh-rsa")}`, "pbx", 22).keys).toEqual([]);
  });
});

describe("ports", () => {
  test("a line for [host]:port counts for that port only", () => {
    expect(isKnown(`[pbx]:2222 ${ED25519}`, "pbx", 2222)).toBe(true);
    expect(isKnown(`[pbx]:2222 ${ED25519}`, "pbx", 22)).toBe(false);
    expect(isKnown(`[pbx]:2222 ${ED25519}`, "pbx", 2223)).toBe(false);
  });

  test("a line without a port counts for other ports where they have none of their own, as OpenSSH does", () => {
    expect(lookUp(`pbx ${ED25519}`, "pbx", 2222)).toMatchObject({
      withoutPort: true,
      keys: [{ type: "ssh-ed25519" }],
    });
    const both = lookUp(`pbx ${ED25519}\n[pbx]:2222 ${OTHER}`, "pbx", 2222);
    expect(both.keys.map((key) => key.type)).toEqual(["ecdsa-sha2-nistp256"]);
  });
});

describe("markers", () => {
  test("a revoked key is no known key, for any port", () => {
    const found = lookUp(`@revoked * ${ED25519}`, "pbx", 2222);
    expect(found.keys).toEqual([]);
    expect(found.revoked.map((key) => key.type)).toContain("ssh-ed25519");
  });

  test("a certificate authority is noticed, its key is no host key", () => {
    const found = lookUp(`@cert-authority *.example.com ${ED25519}`, "pbx.example.com", 22);
    expect(found).toMatchObject({ keys: [], hasCertificateAuthority: true });
  });

  test("an unknown marker makes the line void", () => {
    expect(lookUp(`@trusted pbx ${ED25519}`, "pbx", 22).keys).toEqual([]);
  });
});

test("the line to add is found again, and the fingerprint is OpenSSH's", () => {
  const key = { type: "ssh-ed25519", blob: blobOf(ED25519) };
  expect(fingerprint(key.blob)).toBe("SHA256:/7SsCc8HSV4m8Ahmn3xEAEtWwMl9nGcRbeD2P3vBEOQ");
  expect(knownHostsLine("PBX", 2222, key)).toBe(`[pbx]:2222 ${ED25519}`);
  expect(isKnown(knownHostsLine("::1", 2222, key), "::1", 2222)).toBe(true);
});
