/**
 * A telephone that transfers the calls it gets by itself, as those on desks do: it speaks SIP over UDP (RFC 3261, REFER of
 * RFC 3515, Replaces of RFC 3891), and no media.
 */
import { randomUUID } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";

/** What it does with each call, by the number that it is called under. */
export interface Transferring {
  /** Without a word; or after a call of its own to there was answered, which the caller's then replaces. */
  readonly kind: "Blind" | "Attended";
  readonly to: string;
}

export interface SIPTelephone {
  readonly port: number;
  /** Why it could not transfer a call. */
  readonly complaints: readonly string[];
  close(): Promise<void>;
}

/** One side of a SIP dialog: what its requests carry. */
interface Dialog {
  readonly callID: string;
  /** The whole headers, with tags. */
  readonly own: string;
  readonly other: string;
  readonly target: string;
  /** Of our last request. */
  sequence: number;
}

interface Message {
  /** `INVITE sip:…` or `SIP/2.0 200 OK`. */
  readonly first: string;
  readonly headers: ReadonlyMap<string, readonly string[]>;
  readonly body: string;
}

/** A call that we answered. */
interface AnsweredCall {
  /** Whom it was for. */
  readonly number: string;
  readonly dialog: Dialog;
  /** Whether the answer is acknowledged. */
  isUp: boolean;
  /** Takes what became of a transfer. */
  referred: (status: number) => void;
}

/** So often a REFER is repeated: an exchange that has just answered may not have joined the two yet. */
const referTries = 30;

export async function startSIPTelephone(
  exchangePort: number,
  transferring: Readonly<Record<string, Transferring>>,
): Promise<SIPTelephone> {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  const exchange = `127.0.0.1:${exchangePort}`;
  const complaints: string[] = [];
  /** By Call-ID. */
  const answered = new Map<string, AnsweredCall>();
  /** Who waits for the final answer to a request, by its branch. */
  const waiting = new Map<string, (answer: Message) => void>();

  const send = (first: string, headers: readonly string[], body = ""): void => {
    const type = body === "" ? [] : ["Content-Type: application/sdp"];
    const text = [first, ...headers, ...type, `Content-Length: ${body.length}`, "", body].join("\r\n");
    socket.send(text, exchangePort, "127.0.0.1");
  };
  const contact = (number: string): string => `Contact: <sip:${number}@127.0.0.1:${port}>`;
  const sdp = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"]
    .concat("m=audio 9 RTP/AVP 0", "")
    .join("\r\n");

  /** Sends a request within a dialog; resolves with its final answer. */
  const request = async (
    method: string,
    dialog: Dialog,
    { number, headers = [], body = "" }: { number: string; headers?: readonly string[]; body?: string },
  ): Promise<Message> => {
    const branch = `z9hG4bK${randomUUID()}`;
    const answer = Promise.withResolvers<Message>();
    waiting.set(branch, answer.resolve);
    dialog.sequence += 1;
    send(
      `${method} ${dialog.target} SIP/2.0`,
      [...requestHeaders(branch, dialog, `${dialog.sequence} ${method}`), contact(number), ...headers],
      body,
    );
    return answer.promise;
  };
  const requestHeaders = (branch: string, { own, other, callID }: Dialog, sequence: string): string[] => [
    `Via: SIP/2.0/UDP 127.0.0.1:${port};rport;branch=${branch}`,
    ...["Max-Forwards: 70", `From: ${own}`, `To: ${other}`, `Call-ID: ${callID}`, `CSeq: ${sequence}`],
  ];

  /** Calls somebody, and gives the dialog once the call is answered. */
  const call = async (number: string, to: string): Promise<Dialog> => {
    const dialog: Dialog = {
      callID: randomUUID(),
      own: `<sip:${number}@127.0.0.1>;tag=${randomUUID()}`,
      other: `<sip:${to}@${exchange}>`,
      target: `sip:${to}@${exchange}`,
      sequence: 0,
    };
    const answer = await request("INVITE", dialog, { number, body: sdp });
    if (statusOf(answer) !== 200) throw new Error(`calling ${to}: ${answer.first}`);
    const known = { ...dialog, other: header(answer, "to"), target: addressIn(header(answer, "contact")) };
    send(`ACK ${known.target} SIP/2.0`, requestHeaders(`z9hG4bK${randomUUID()}`, known, "1 ACK"));
    return known;
  };

  const transfer = async (answeredCall: AnsweredCall): Promise<void> => {
    const { number, dialog } = answeredCall;
    const { kind, to } = transferring[number] ?? { kind: "Blind", to: "nowhere" };
    const consulted = kind === "Attended" ? await call(number, to) : undefined;
    const replaces =
      consulted &&
      `?Replaces=${encodeURIComponent(
        `${consulted.callID};to-tag=${tagOf(consulted.other)};from-tag=${tagOf(consulted.own)}`,
      )}`;
    const headers = [`Refer-To: <sip:${to}@${exchange}${replaces ?? ""}>`, `Referred-By: ${dialog.own}`];
    for (let tries = 1; ; tries += 1) {
      const outcome = Promise.withResolvers<number>();
      answeredCall.referred = outcome.resolve;
      const accepted = statusOf(await request("REFER", dialog, { number, headers }));
      const status = accepted === 202 ? await outcome.promise : accepted;
      if (status === 200) return;
      if (tries === referTries) throw new Error(`referring ${number} to ${to} ended with ${status}`);
      await delay(100);
    }
  };

  const answerRequest = (message: Message): void => {
    const [method = "", address = ""] = message.first.split(" ");
    const number = /sip:(\d+)@/.exec(address)?.[1] ?? "";
    const callID = header(message, "call-id");
    const known = answered.get(callID);
    if (method === "ACK") {
      if (known?.isUp === false) {
        known.isUp = true;
        transfer(known).catch((error: unknown) => complaints.push(String(error)));
      }
      return;
    }
    const to = header(message, "to");
    const own = tagOf(to) === "" ? (known?.dialog.own ?? `${to};tag=${randomUUID()}`) : to;
    if (method === "INVITE" && own !== to && known === undefined) {
      const [other, target] = [header(message, "from"), addressIn(header(message, "contact"))];
      answered.set(callID, {
        number,
        dialog: { callID, own, other, target, sequence: 0 },
        isUp: false,
        referred: () => undefined,
      });
    }
    const outcome = method === "NOTIFY" ? statusOf({ first: message.body }) : 0;
    if (outcome >= 200) known?.referred(outcome);
    send(
      "SIP/2.0 200 OK",
      [
        ...(message.headers.get("via") ?? []).map((via) => `Via: ${via}`),
        ...[`From: ${header(message, "from")}`, `To: ${own}`, `Call-ID: ${callID}`],
        ...[`CSeq: ${header(message, "cseq")}`, contact(number)],
      ],
      method === "INVITE" ? sdp : "",
    );
  };

  socket.on("message", (bytes) => {
    const message = parse(bytes.toString());
    if (!message.first.startsWith("SIP/2.0 ")) return answerRequest(message);
    const branch = /;branch=([^;]+)/.exec(header(message, "via"))?.[1] ?? "";
    if (statusOf(message) >= 200) waiting.get(branch)?.(message);
  });
  return {
    port,
    complaints,
    close: async () => {
      socket.close();
      await once(socket, "close");
    },
  };
}

function parse(text: string): Message {
  const [head = "", body = ""] = text.split("\r\n\r\n");
  const [first = "", ...lines] = head.split("\r\n");
  const headers = new Map<string, string[]>();
  for (const line of lines) {
    const at = line.indexOf(":");
    const name = line.slice(0, at).trim().toLowerCase();
    headers.set(name, [...(headers.get(name) ?? []), line.slice(at + 1).trim()]);
  }
  return { first, headers, body };
}

function header({ headers }: Message, name: string): string {
  return headers.get(name)?.[0] ?? "";
}

function statusOf({ first }: Pick<Message, "first">): number {
  return Number(first.split(" ")[1]);
}

function tagOf(address: string): string {
  return /;tag=([^;]+)/.exec(address)?.[1] ?? "";
}

function addressIn(contact: string): string {
  return /<([^>]+)>/.exec(contact)?.[1] ?? contact;
}
