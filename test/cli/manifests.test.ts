import { describe, expect, test } from "@jest/globals";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Manifests } from "../../cli/manifests.ts";
import { loadManifests } from "../../cli/manifests.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const server = (name: string, spec = ""): string => `apiVersion: asterisk-iac.dev/v1alpha1
kind: AsteriskServer
metadata: { name: ${name} }
spec:
  ssh: { host: ${name.toLowerCase()}.example.com, user: admin }
  ami: { credentialsSecretRef: { name: ${name}-ami } }
${spec}`;

function write(files: Record<string, string>): string {
  const directory = temporaryDirectory();
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  return directory;
}

describe("reading manifests", () => {
  test("defaults are filled in, and a source without a directory lies beside the manifest", async () => {
    const directory = write({ "pbx.yaml": server("pbx1") });
    const { servers } = await loadManifests([join(directory, "pbx.yaml")]);
    expect(servers).toHaveLength(1);
    expect(servers[0]?.resource.spec).toMatchObject({
      ssh: { port: 22, hostKeyPolicy: "Pinned" },
      ami: { host: "127.0.0.1", port: 5038, via: "SSHTunnel" },
      prune: false,
    });
    expect(servers[0]?.sourceDirectory).toBe(join(directory, "source/pbx1"));
  });

  test("a directory gives the YAML directly in it, and other tools' resources are passed over", async () => {
    const directory = write({
      "a.yaml": server("pbx1"),
      "b.yml": server("pbx2"),
      "c.txt": "no: yaml",
      "d.yaml": "apiVersion: v1\nkind: ConfigMap\n",
    });
    mkdirSync(join(directory, "below"));
    writeFileSync(join(directory, "below", "e.yaml"), server("pbx3"));
    expect((await loadManifests([directory])).servers.map(({ name }) => name)).toEqual(["pbx1", "pbx2"]);
  });

  test("the same resource twice counts once", async () => {
    const directory = write({ "a.yaml": server("pbx1"), "b.yaml": server("pbx1") });
    expect((await loadManifests([directory])).servers).toHaveLength(1);
  });

  test("one name declared in two ways is refused, naming both places", async () => {
    const directory = write({ "a.yaml": server("pbx1"), "b.yaml": server("pbx1", "  prune: true\n") });
    await expect(loadManifests([directory])).rejects.toMatchObject({
      code: "InvalidManifest",
      message: expect.stringContaining(`declared differently at ${join(directory, "a.yaml")}:1`),
      where: { file: join(directory, "b.yaml"), line: 1 },
    });
  });

  test("two servers never share one source", async () => {
    const directory = write({
      "a.yaml": `${server("pbx1", "  source: { directory: here }\n")}---\n${server("pbx2", "  source: { directory: ./here/ }\n")}`,
    });
    await expect(loadManifests([directory])).rejects.toThrow(/same source directory as pbx1/);
  });

  test("nor one directory of a repository, nor one in the other's", async () => {
    const git = (fields: string): string =>
      `  source: { git: { url: "git@example.com:pbx.git", ${fields} } }\n`;
    const both = (one: string, other: string): Promise<Manifests> =>
      loadManifests([write({ "a.yaml": `${server("pbx1", one)}---\n${server("pbx2", other)}` })]);
    const same = /same source directory as pbx1/;
    await expect(both(git("path: pbx"), git("path: pbx"))).rejects.toThrow(same);
    await expect(both(git("path: pbx"), git("path: pbx/two"))).rejects.toThrow(same);
    await expect(both(git("path: ."), git(""))).rejects.toThrow(same);
    await expect(both(git("path: pbx2"), git("").replace("pbx.git", "pbx"))).rejects.toThrow(same);
    expect((await both(git("path: pbx"), git("path: pbx-two"))).servers).toHaveLength(2);
    expect((await both(git("path: pbx"), git("path: pbx, branch: other"))).servers).toHaveLength(2);
  });

  test("a Secret document gives its values", async () => {
    const directory = write({
      "s.yaml":
        "apiVersion: v1\nkind: Secret\nmetadata: {name: pbx1-ami}\ndata: {password: aHVudGVyMg==}\nstringData: {username: iac}\n",
    });
    const { secrets } = await loadManifests([directory]);
    expect(secrets.get("pbx1-ami")?.get("password")?.toString()).toBe("hunter2");
    expect(secrets.get("pbx1-ami")?.get("username")?.toString()).toBe("iac");
  });
});

describe("mistakes", () => {
  test("every mistake of every file is reported at once, each with its line", async () => {
    const directory = write({
      "a.yaml": server("pbx1", "  updateDirection: Sideways\n  prun: true\n"),
      "b.yaml": server("UPPER"),
    });
    await expect(loadManifests([directory])).rejects.toMatchObject({
      code: "InvalidManifest",
      message: expect.stringMatching(/4 mistakes/),
    });
    await expect(loadManifests([directory])).rejects.toThrow(/a\.yaml:7: spec\.updateDirection/);
    await expect(loadManifests([directory])).rejects.toThrow(/b\.yaml:3: metadata\.name/);
  });

  test.each([
    ["neither ssh nor local", "ami: { credentialsSecretRef: { name: a } }", "needs either ssh or local"],
    [
      "ssh and local",
      "local: {}\n  ssh: { host: h }\n  ami: { credentialsSecretRef: { name: a } }",
      "needs either ssh or local",
    ],
    [
      "AMI in the clear across a network",
      "ssh: { host: h }\n  ami: { via: Direct, host: pbx, credentialsSecretRef: { name: a } }",
      "via: Direct needs tls",
    ],
    [
      "a host that an option could hide in",
      "ssh: { host: -oProxyCommand=x }\n  ami: { credentialsSecretRef: { name: a } }",
      "is not a host name",
    ],
    [
      "a configuration directory that climbs",
      "ssh: { host: h }\n  configDirectory: /etc/../x\n  ami: { credentialsSecretRef: { name: a } }",
      "must not contain",
    ],
    [
      "files that leave the directory",
      "ssh: { host: h }\n  files: ['../*.conf']\n  ami: { credentialsSecretRef: { name: a } }",
      "must stay below",
    ],
    [
      "a rule that says two things",
      "ssh: { host: h }\n  rules: [{ files: a, unmanaged: true, updateDirection: ToAsterisk }]\n  ami: { credentialsSecretRef: { name: a } }",
      "either updateDirection or unmanaged",
    ],
  ])("%s is refused", async (_, spec, message) => {
    const directory = write({
      "a.yaml": `apiVersion: asterisk-iac.dev/v1alpha1\nkind: AsteriskServer\nmetadata: { name: pbx1 }\nspec:\n  ${spec}\n`,
    });
    await expect(loadManifests([directory])).rejects.toThrow(message);
  });

  test("a kind that does not exist is refused, not passed over", async () => {
    const directory = write({
      "a.yaml": "apiVersion: asterisk-iac.dev/v1alpha1\nkind: AsteriskSever\nmetadata: {name: x}\n",
    });
    await expect(loadManifests([directory])).rejects.toMatchObject({
      message: expect.stringMatching(/^kind: is not a kind/),
      where: { file: join(directory, "a.yaml"), line: 2 },
    });
  });

  test("broken YAML is refused with its line and without its text", async () => {
    const directory = write({ "a.yaml": "apiVersion: v1\nkind: Secret\nstringData: {password: 'hunter2\n" });
    const failure: unknown = await loadManifests([directory]).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "InvalidManifest" });
    expect(String(failure)).not.toContain("hunter2");
  });
});

describe("accounts and files of a server", () => {
  const resource = (kind: string, name: string, spec: string): string =>
    `---\napiVersion: asterisk-iac.dev/v1alpha1\nkind: ${kind}\nmetadata: { name: ${name} }\nspec:\n${spec}`;
  const account = (name: string, server: string): string =>
    resource("AMIAccount", name, `  { serverRef: { name: ${server} }, username: ${name}, generate: true }\n`);

  test("each server has its own, with the defaults filled in", async () => {
    const directory = write({
      "servers.yaml": `${server("pbx1")}---\n${server("pbx2")}`,
      "accounts.yaml": account("crm", "pbx1") + account("board", "pbx2"),
      "files.yaml": resource("ConfFile", "q", "  { serverRef: { name: pbx2 }, path: q.conf, content: x }\n"),
    });
    const { resourcesOf } = await loadManifests([directory]);
    expect(resourcesOf("pbx1")).toMatchObject({
      accounts: [
        { name: "crm", spec: { username: "crm", deny: ["0.0.0.0/0", "::/0"], deletionPolicy: "Restore" } },
      ],
      files: [],
    });
    expect(resourcesOf("pbx2")).toMatchObject({ accounts: [{ name: "board" }], files: [{ name: "q" }] });
  });

  test("content from a file beside the manifest, its bytes as they are", async () => {
    const from = (field: string): string =>
      server("pbx1") +
      resource("ConfFile", "q", `  { serverRef: { name: pbx1 }, path: q.conf, contentFrom: ${field} }\n`);
    const directory = write({ "a.yaml": from("{ file: below/q.conf }") });
    mkdirSync(join(directory, "below"));
    const bytes = Buffer.from("[a]\r\nname = J\xfcrgen", "latin1");
    writeFileSync(join(directory, "below/q.conf"), bytes);
    expect((await loadManifests([directory])).resourcesOf("pbx1").files[0]?.content).toEqual(bytes);

    for (const [field, why] of [
      ["{ file: none.conf }", /contentFrom\.file: .*none\.conf can't be read/],
      ["{ configMapKeyRef: { name: a, key: b } }", /configMapKeyRef: is for Kubernetes; use file/],
      ["{}", /needs exactly one of/],
    ] as const)
      await expect(loadManifests([write({ "a.yaml": from(field) })])).rejects.toThrow(why);
  });

  test("every mistake in them is told with its line, and a server that is not there", async () => {
    const directory = write({
      "a.yaml": `${server("pbx1")}${account("crm", "nowhere")}${resource(
        "AMIAccount",
        "bad",
        '  serverRef: { name: pbx1 }\n  username: "x]"\n  generate: true\n  read: [cals]\n',
      )}${resource("ConfFile", "q", "  serverRef: { name: pbx1 }\n  path: ../q.conf\n  content: s3cret-value\n")}`,
    });
    const loading = loadManifests([join(directory, "a.yaml")]);
    await expect(loading).rejects.toMatchObject({ code: "InvalidManifest" });
    await expect(loading).rejects.toThrow(/a\.yaml:8: serverRef\.name: no AsteriskServer is called nowhere/);
    await expect(loading).rejects.toThrow(/a\.yaml:19: spec\.username: is not an account's name/);
    await expect(loading).rejects.toThrow(/a\.yaml:21: spec\.read\.0: "cals" is not a class of AMI/);
    await expect(loading).rejects.toThrow(/a\.yaml:28: spec\.path: /);
    await expect(loading).rejects.not.toThrow(/s3cret-value/);
  });
});
