/**
 * Telephones for a lab: `pbx`, an exchange with extensions, a queue and a trunk, and `world`, another Asterisk that is all
 * its telephones and its carrier. They speak SIP and RTP on loopback.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { appendFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AMIClient } from "../../asterisk/ami/client.ts";
import { asteriskctl } from "./asteriskctl.ts";
import type { Lab, LabServer } from "./lab.ts";
import { startSIPTelephone } from "./sip-telephone.ts";
import { until } from "./until.ts";

/** The number of the exchange: what is behind it is dialled through. */
export const trunkNumber = "030123456";

/** Behind it every number is one, all of which telephone 101 answers. */
export const loadNumber = "0309999";

/** What the exchange's manifest says of its calls. */
export const telephonySpec = {
  country: "DE",
  timeZone: "Europe/Berlin",
  numbers: {
    extensions: ["_1XX", "200", "210", "300"],
    trunks: ["PJSIP/carrier"],
    outsidePrefix: "0",
  },
};

/** What the telephones 101 to 110 do when they ring. */
const telephones = {
  101: ["Answer()", "Wait(30)", "Hangup()"],
  102: ["Hangup(17)"],
  103: ["Ringing()", "Wait(30)"],
  104: ["Hangup(21)"],
  105: ["Ringing()", "Wait(0.6)", "Answer()", "Wait(30)", "Hangup()"],
  // Blind: *1 is the code of the exchange; then the digits. Attended: *2, and hangs up once 105 has answered.
  106: ["Answer()", "Wait(0.8)", "SendDTMF(*1105,120,80)", "Wait(10)", "Hangup()"],
  107: ["Answer()", "Wait(0.8)", "SendDTMF(*2105,120,80)", "Wait(2.5)", "Hangup()"],
} as const;

/** These transfer by SIP itself (REFER). */
const transferring = {
  108: { kind: "Blind", to: "105" },
  112: { kind: "Attended", to: "105" },
} as const;

/** No telephone is registered as 109. */
const extensions = [101, 102, 103, 104, 105, 106, 107, 108, 109, 112];

export interface CallOptions {
  /** `carrier`, or the extension that calls. */
  readonly from: string;
  readonly to: string;
  /** As `Name <number>`; of an extension it is its own. */
  readonly callerID?: string;
  readonly presentation?: string;
  /** How long the caller talks once somebody answers, and how long it rings at most. Seconds. */
  readonly talk?: number;
  readonly patience?: number;
}

export interface Telephony {
  /** Starts a call; resolves when Asterisk has taken it on, not when it is over. */
  call(options: CallOptions): Promise<void>;
  /** Hangs up whatever is up, and waits until it is gone. */
  hangUpAll(): Promise<void>;
  /** Why a telephone could not transfer a call. */
  readonly complaints: readonly string[];
  close(): Promise<void>;
}

/** Sets up pbx1 and pbx2 of a lab, and the account that reads calls on pbx1, as docs/calls.md tells. */
export async function bringUpTelephony({ directory, servers: [pbx, world] }: Lab): Promise<Telephony> {
  if (pbx === undefined || world === undefined) throw new Error("telephony needs a lab of two servers");
  const manifests = join(directory, "manifests.yaml");
  await declareTelephony(manifests);
  const telephony = await connectTelephony(pbx, world);
  for (const command of [["bootstrap", "--calls"], ["import"], ["apply", "--yes"]]) {
    const { code, stderr } = await asteriskctl(["-f", manifests, ...command, "pbx1"]);
    if (code !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
  }
  return telephony;
}

/** Adds `telephonySpec` to pbx1 of a lab's manifests. */
export async function declareTelephony(manifests: string): Promise<void> {
  const text = await readFile(manifests, "utf8");
  const own = Object.entries(telephonySpec).map(([name, value]) => `  ${name}: ${JSON.stringify(value)}\n`);
  await writeFile(manifests, text.replace("\nspec:\n", `\nspec:\n${own.join("")}`));
}

/** Sets both servers up. Their configuration directories and consoles are used, nothing of ours. */
export async function connectTelephony(pbx: LabServer, world: LabServer): Promise<Telephony> {
  const [pbxPort, worldPort] = [await freeUDPPort(), await freeUDPPort()];
  const telephone = await startSIPTelephone(pbxPort, transferring);
  await configure(pbx, {
    "pjsip.conf": exchangeSIP(pbxPort, worldPort, telephone.port),
    "extensions.conf": exchangeDialplan,
    "queues.conf": exchangeQueues,
    "features.conf": exchangeFeatures,
  });
  const secret = "originate-0123456789abcdef";
  await appendFile(
    join(world.configDirectory, "manager.conf"),
    `\n[world]\nsecret=${secret}\ndeny=0.0.0.0/0.0.0.0\npermit=127.0.0.1/255.255.255.255\nread=none\nwrite=originate,system\n`,
  );
  await configure(world, { "pjsip.conf": worldSIP(worldPort, pbxPort), "extensions.conf": worldDialplan });
  const ami = await AMIClient.connect({
    transport: { kind: "tcp", host: "127.0.0.1", port: world.amiPort },
    username: "world",
    password: secret,
    label: "world",
    eventMask: "off",
  });
  return {
    async call({ from, to, callerID, presentation = "allowed", talk = 1, patience = 8 }) {
      await ami.action("Originate", {
        Channel: `Local/${to}@from-${from === "carrier" ? "carrier" : "telephone"}/n`,
        Application: "Wait",
        Data: String(talk),
        Timeout: String(patience * 1000),
        Async: "true",
        Variable: `FROM=${from},WHO=${callerID ?? ""},PRES=${presentation}`,
      });
    },
    async hangUpAll() {
      await world.run(["asterisk", "-rx", "channel request hangup all"]);
      const channels = async () => (await pbx.run(["asterisk", "-rx", "core show channels count"])).stdout;
      await until(async () => (await channels()).includes("0 active channels"));
    },
    complaints: telephone.complaints,
    close: async () => {
      await Promise.all([ami.close(), telephone.close()]);
    },
  };
}

async function configure(server: LabServer, files: Record<string, string>): Promise<void> {
  for (const [name, text] of Object.entries(files)) await writeFile(join(server.configDirectory, name), text);
  // The clip of music on hold, which no package brought; and the CDRs of calls that nobody answered.
  const cdr = await readFile(join(server.configDirectory, "cdr.conf"), "utf8");
  await writeFile(
    join(server.configDirectory, "cdr.conf"),
    cdr.replace("[general]", "[general]\nunanswered=yes\ncongestion=yes"),
  );
  const { stdout } = await server.run(["asterisk", "-rx", "core reload"]);
  if (stdout.includes("Unable")) throw new Error(stdout);
}

async function freeUDPPort(): Promise<number> {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  return port;
}

const media = "disallow=all\nallow=ulaw\ndirect_media=no\nrtp_symmetric=no\n";

function exchangeSIP(own: number, world: number, transferringTelephone: number): string {
  const contact = (number: number): string =>
    `contact=sip:${number}@127.0.0.1:${number in transferring ? transferringTelephone : world}\n`;
  const trunk = `[carrier]\ntype=endpoint\ncontext=from-carrier\naors=carrier\ntrust_id_inbound=yes\ntrust_id_outbound=yes\nsend_pai=yes\n${media}
[carrier]\ntype=aor\ncontact=sip:127.0.0.1:${world}\n`;
  const each = extensions.map(
    (number) =>
      `[${number}]\ntype=endpoint\ncontext=inside\naors=${number}\ncallerid="Phone ${number}" <${number}>\n${media}
[${number}]\ntype=aor\n${number === 109 ? "" : contact(number)}`,
  );
  return [
    `[udp]\ntype=transport\nprotocol=udp\nallow_reload=yes\nbind=127.0.0.1:${own}\n`,
    trunk,
    ...each,
  ].join("\n");
}

/** 100 and 200 are places of the dialplan: a queue, and a group of telephones that ring together. */
const exchangeDialplan = `
[from-carrier]
exten => _${trunkNumber}XXX,1,Goto(inside,\${EXTEN:${trunkNumber.length}},1)
exten => _${loadNumber}XXXX,1,Dial(PJSIP/101,5)

[inside]
exten => _1XX,1,Dial(PJSIP/\${EXTEN},3,tT)
exten => 111,1,Dial(PJSIP/101,3)
exten => 113,1,Dial(PJSIP/103,3)
exten => 110,1,Goto(100,1)
exten => 100,1,Queue(support,,,,2)
 same => n,Hangup()
exten => 120,1,Queue(willing,,,,5)
 same => n,Hangup()
exten => 200,1,Dial(PJSIP/102&PJSIP/103&PJSIP/105,3,tT)
exten => 210,1,Dial(Local/101@inside&Local/103@inside,3)
exten => 300,1,Answer()
 same => n,Wait(0.5)
 same => n,Hangup()
exten => _0X.,1,Dial(PJSIP/\${EXTEN:1}@carrier,3)
`;

const exchangeQueues = `
[general]
[support]
strategy=ringall
timeout=1
retry=1
member => PJSIP/103,0,Carol
[willing]
strategy=ringall
member => PJSIP/105,0,Dave
`;

const exchangeFeatures = `
[general]
transferdigittimeout=3
[featuremap]
blindxfer => *1
atxfer => *2
`;

function worldSIP(own: number, pbx: number): string {
  const line = (name: string) =>
    `[${name}]\ntype=endpoint\ncontext=none\naors=exchange\nfrom_user=${name}\nsend_pai=yes\ntrust_id_outbound=yes\n${media}`;
  return [
    `[udp]\ntype=transport\nprotocol=udp\nallow_reload=yes\nbind=127.0.0.1:${own}\n`,
    `[exchange]\ntype=aor\ncontact=sip:127.0.0.1:${pbx}\n`,
    `[exchange]\ntype=endpoint\ncontext=telephones\naors=exchange\n${media}`,
    "[exchange]\ntype=identify\nendpoint=exchange\nmatch=127.0.0.1\n",
    ...["carrier", ...extensions.map(String)].map(line),
  ].join("\n");
}

const worldDialplan = `
[none]
[telephones]
${Object.entries(telephones)
  .map(([number, steps]) =>
    steps.map((step, at) => (at === 0 ? `exten => ${number},1,${step}` : ` same => n,${step}`)).join("\n"),
  )
  .join("\n")}
exten => _X.,1,Answer()
 same => n,Wait(30)
exten => 01701234599,1,Hangup(1)

[from-carrier]
exten => _X.,1,Set(CALLERID(all)=\${WHO})
 same => n,Set(CALLERID(pres)=\${PRES})
 same => n,Dial(PJSIP/\${EXTEN}@carrier)

[from-telephone]
exten => _X.,1,Set(CALLERID(all)=\${WHO})
 same => n,Set(CALLERID(pres)=\${PRES})
 same => n,Dial(PJSIP/\${EXTEN}@\${FROM})
`;
