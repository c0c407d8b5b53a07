/** The telephone system of a small company: its phones, the dialplan, a queue for support, and an account for its CRM. */
import * as pulumi from "@pulumi/pulumi";
import { AMIAccount, AsteriskServer, ConfFile } from "asterisk-iac";
import type { UpdateDirection } from "asterisk-iac";

const config = new pulumi.Config();

type Employee = { number: string; name: string };

const staff: Employee[] = [
  { number: "100", name: "Reception" },
  { number: "101", name: "Ada" },
  { number: "102", name: "Grace" },
];
const support = ["101", "102"];

const pbx = new AsteriskServer("pbx", {
  ssh: {
    host: config.require("host"),
    port: config.getNumber("port"),
    user: config.require("user"),
    become: config.get("become"),
    privateKey: config.requireSecret("privateKey"),
    knownHosts: config.require("knownHosts"),
  },
  ami: {
    host: config.get("amiHost"),
    port: config.getNumber("amiPort"),
    username: config.require("amiUsername"),
    password: config.requireSecret("amiPassword"),
  },
  updateDirection: config.get<UpdateDirection>("updateDirection") ?? "ToAsterisk",
  // The dialplan below takes the place of the distribution's sample, most of whose contexts go.
  allow: ["large-change"],
});

/** One phone: the endpoint, the secret that it registers with, and where it is reached. */
function phone({ number, name }: Employee): string {
  return `
[${number}](phone)
auth = ${number}-auth
aors = ${number}
callerid = ${name} <${number}>

[${number}-auth]
type = auth
auth_type = userpass
username = ${number}
password = @{secret:phones/${number}}

[${number}]
type = aor
max_contacts = 2
remove_existing = yes
`;
}

function extension({ number, name }: Employee): string {
  return `exten => ${number},1,NoOp(${name})
 same => n,Dial(PJSIP/\${EXTEN},25)
 same => n,Hangup()
`;
}

new ConfFile("phones", {
  server: pbx,
  path: "pjsip.conf",
  onConflict: "TakeProgram",
  content: `[transport-udp]
type = transport
protocol = udp
bind = 0.0.0.0:${config.getNumber("sipPort") ?? 5060}

[phone](!)
type = endpoint
transport = transport-udp
context = internal
disallow = all
allow = g722,alaw,ulaw
direct_media = no
${staff.map(phone).join("")}`,
  secrets: { phones: config.requireSecretObject<Record<string, string>>("phones") },
});

new ConfFile("support-queue", {
  server: pbx,
  path: "queues.conf",
  sections: [
    {
      name: "support",
      lines: [
        "strategy = rrmemory",
        "timeout = 20",
        "joinempty = yes",
        ...support.map((number) => `member => PJSIP/${number}`),
      ].join("\n"),
    },
  ],
});

new ConfFile("dialplan", {
  server: pbx,
  path: "extensions.conf",
  onConflict: "TakeProgram",
  content: `[general]
static = yes
writeprotect = yes

[internal]
${staff.map(extension).join("")}exten => 200,1,Answer()
 same => n,Queue(support,t,,,300)
 same => n,Hangup()
`,
});

const crm = new AMIAccount("crm", {
  server: pbx,
  username: "crm",
  permit: ["127.0.0.1"],
  read: ["call", "agent"],
  write: ["originate"],
  privilegedReason: "the CRM dials numbers when somebody clicks on them",
});

export const asteriskVersion = pbx.asteriskVersion;
/** What the CRM logs in with; `pulumi stack output crmPassword --show-secrets`. */
export const crmPassword = crm.password;
