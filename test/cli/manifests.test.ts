import { describe, expect, test } from "@jest/globals";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
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
