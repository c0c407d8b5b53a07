/** What a program may write, and what the compiler says no to; `npm run types` is the test. Never run. */
import * as pulumi from "@pulumi/pulumi";
import { AMIAccount, AsteriskServer, ConfFile } from "../../provider/index.ts";

const config = new pulumi.Config();
const later = pulumi.output("later");
const ami = { username: "iac", password: config.requireSecret("ami") };

export const server = new AsteriskServer("pbx", {
  ssh: {
    host: later,
    port: config.getNumber("port"),
    privateKey: config.requireSecret("key"),
    knownHosts: undefined,
  },
  ami: { ...ami, via: "SSHTunnel" },
  rules: [
    { files: "extensions*.conf", updateDirection: "FromAsterisk" },
    { files: "old/**", unmanaged: true },
  ],
  source: { directory: "pbx" },
  allow: ["large-change"],
});
export const local = new AsteriskServer("here", { local: { become: "asterisk" }, ami: pulumi.output(ami) });

export const crm = new AMIAccount("crm", {
  server,
  username: later,
  permit: ["192.0.2.1"],
  read: ["call", "cdr"],
});
export const password: pulumi.Output<string> = crm.password;

export const files = [
  new ConfFile("whole", { server, path: "queues.conf", content: pulumi.interpolate`[${later}]` }),
  new ConfFile("part", { server: local.connection, path: later, sections: [{ name: "a", lines: later }] }),
  new ConfFile("read", { server, path: "musiconhold.conf" }, { dependsOn: [crm] }),
];
export const imported: pulumi.Output<Record<string, string>> = server.initialImport.files;

// @ts-expect-error: an account of AMI is always needed
new AsteriskServer("x", { ssh: { host: "x" } });
// @ts-expect-error: there are two directions
new AsteriskServer("x", { local: {}, ami, updateDirection: "Sideways" });
// @ts-expect-error: secrets are values here, not references
new AsteriskServer("x", { ssh: { host: "x", credentialsSecretRef: { name: "x" } }, ami });
// @ts-expect-error: addresses that may log in have to be said
new AMIAccount("x", { server, username: "x" });
// @ts-expect-error: no class of AMI
new AMIAccount("x", { server, username: "x", permit: [], read: ["everything"] });
// @ts-expect-error: without `secret` one is generated
new AMIAccount("x", { server, username: "x", permit: [], generate: true });
// @ts-expect-error: a file is on a server
new ConfFile("x", { path: "x.conf", content: "" });
// @ts-expect-error: the program reads what it needs itself
new ConfFile("x", { server, path: "x.conf", contentFrom: { file: "x" } });
