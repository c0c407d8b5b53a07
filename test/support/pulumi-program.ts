import { execFile } from "node:child_process";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const repository = join(import.meta.dirname, "..", "..");

export type Kind = "AsteriskServer" | "AMIAccount" | "ConfFile";

/** The text of each kind's handlers, as Pulumi keeps it in the state. */
export type SerializedProviders = Readonly<Record<Kind, string>>;

/** Makes a directory a program's: `asterisk-iac` is a package of it, whose code is the given one, by default this checkout's. */
export async function layOutProgram(directory: string, code = join(repository, "provider")): Promise<void> {
  const modules = join(directory, "node_modules");
  await mkdir(join(modules, "asterisk-iac"), { recursive: true });
  await symlink(join(repository, "node_modules", "@pulumi"), join(modules, "@pulumi"));
  await symlink(code, join(modules, "asterisk-iac", "provider"));
  const ending = code === join(repository, "provider") ? "ts" : "js";
  const exports = { ".": `./provider/index.${ending}`, "./runtime": `./provider/runtime.${ending}` };
  await writeFile(
    join(modules, "asterisk-iac", "package.json"),
    JSON.stringify({ name: "asterisk-iac", type: "module", exports }),
  );
}

/** A program with one resource of each kind, run without an engine: what it would hand over is printed. */
const program = `
import * as pulumi from "@pulumi/pulumi";
const registered = {};
await pulumi.runtime.setMocks({
  newResource: ({ type, inputs, name }) => {
    registered[type.split(":").at(-1)] = inputs.__provider;
    return { id: name, state: inputs };
  },
  call: () => ({}),
});
const { AMIAccount, AsteriskServer, ConfFile } = await import("asterisk-iac");
const canary = pulumi.secret(process.env.CANARY ?? "none");
const server = new AsteriskServer("pbx", {
  ssh: { host: "127.0.0.1", privateKey: canary },
  ami: { username: "iac", password: canary },
});
const account = new AMIAccount("crm", { server, username: "crm", secret: canary, permit: [] });
const file = new ConfFile("queues", { server, path: "queues.conf", content: canary, secrets: { a: { b: canary } } });
const ids = pulumi.all([server.id, account.id, file.id]);
await new Promise((resolve) => ids.apply(resolve));
console.log(JSON.stringify(registered));
`;

/** The handlers' texts, serialized by Pulumi itself in a process of its own. */
export async function serializedProviders(directory: string, canary = "none"): Promise<SerializedProviders> {
  const file = join(directory, "program.mjs");
  await writeFile(file, program);
  const { stdout } = await promisify(execFile)(process.execPath, [file], {
    cwd: directory,
    env: { ...process.env, CANARY: canary, NODE_NO_WARNINGS: "1" },
  });
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as SerializedProviders;
}
