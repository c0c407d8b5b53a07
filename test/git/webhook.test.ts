import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { sign } from "@octokit/webhooks-methods";
import { once } from "node:events";
import { connect } from "node:net";
import { request } from "node:https";
import { receiveWebhooks, type IsMeant, type WebhookReceiver } from "../../git/webhook.ts";
import { RateLimit } from "../../git/rate-limit.ts";
import { Authority } from "../support/certificates.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const secret = "canary-webhook-secret";
const repositoryURL = "https://git.example/telephony/pbx.git";

let receiver: WebhookReceiver;
let pushes: IsMeant[];

beforeEach(async () => {
  pushes = [];
  receiver = await receiveWebhooks({
    host: "127.0.0.1",
    port: 0,
    secret: () => Promise.resolve(secret),
    onPush: (isMeant) => void pushes.push(isMeant),
  });
});
afterEach(() => receiver.close());

function push({ ref = "refs/heads/main", clone_url = repositoryURL, ...more } = {}): string {
  return JSON.stringify({ ref, repository: { clone_url, ...more } });
}

/** Delivers as GitHub does; the answer's status and body. */
async function deliver(body: string, headers: Record<string, string> = {}, signed = body) {
  const signature = await sign(secret, signed);
  const answer = await fetch(receiver.url, {
    method: "POST",
    headers: {
      "x-github-event": "push",
      "x-hub-signature-256": signature,
      "content-type": "application/json",
      ...headers,
    },
    body,
  });
  return { status: answer.status, body: await answer.text() };
}

describe("a push that is signed", () => {
  test("names the branch of the repository to ask, under whatever URL we have it", async () => {
    expect(await deliver(push())).toEqual({ status: 202, body: "" });
    const [isMeant] = pushes;
    const asked = [
      "https://git.example/telephony/pbx.git",
      "ssh://git@10.0.0.7:2222/telephony/pbx",
      "git@git.example:Telephony/pbx.git",
      "https://git.example/telephony/other.git",
      "https://git.example/another/pbx.git",
    ].map((url) => isMeant?.(url, "main"));
    expect(asked).toEqual([true, true, true, false, false]);
    expect(isMeant?.(repositoryURL, "asterisk-iac/pbx1")).toBe(false);
  });

  test("comes from Gitea with a header of its own, or as a form", async () => {
    const gitea = { "x-hub-signature-256": "", "x-github-event": "", "x-gitea-event": "push" };
    const signature = (await sign(secret, push())).replace("sha256=", "");
    expect((await deliver(push(), { ...gitea, "x-gitea-signature": signature })).status).toBe(202);
    const form = new URLSearchParams({ payload: push() }).toString();
    expect((await deliver(form, { "content-type": "application/x-www-form-urlencoded" })).status).toBe(202);
    expect(pushes.map((isMeant) => isMeant(repositoryURL, "main"))).toEqual([true, true]);
  });

  test.each([
    ["a ping", push(), { "x-github-event": "ping" }],
    ["another event", push(), { "x-github-event": "issue_comment" }],
    ["a tag", push({ ref: "refs/tags/v1" }), {}],
    ["a payload of another shape", '{"ref": ["refs/heads/main"]}', {}],
    ["no JSON", "nothing", {}],
  ])("%s is taken and nothing follows", async (_, body, headers) => {
    expect((await deliver(body, headers)).status).toBe(204);
    expect(pushes).toEqual([]);
  });
});

describe("refused without a reason", () => {
  test.each<[string, Record<string, string>, string | undefined]>([
    ["no signature", { "x-hub-signature-256": "" }, undefined],
    ["a signature of something else", {}, push({ ref: "refs/heads/other" })],
    ["a signature cut short", { "x-hub-signature-256": "sha256=00" }, undefined],
    ["a signature by SHA-1", { "x-hub-signature-256": `sha1=${"0".repeat(40)}` }, undefined],
  ])("%s: 401", async (_, headers, signed) => {
    expect(await deliver(push(), headers, signed)).toEqual({ status: 401, body: "" });
    expect(pushes).toEqual([]);
  });

  test("an empty body, whatever its signature: 401", async () => {
    expect(await deliver("", {}, "x")).toEqual({ status: 401, body: "" });
  });

  test("another path or method: 404", async () => {
    expect((await fetch(new URL("/", receiver.url), { method: "POST" })).status).toBe(404);
    expect((await fetch(`${receiver.url}?x`, { method: "POST" })).status).toBe(404);
    expect((await fetch(receiver.url)).status).toBe(404);
  });

  test("more than a megabyte, announced or not: 413, and the connection is ended", async () => {
    const long = `"${"x".repeat(1_000_000)}"`;
    expect(await deliver(long)).toEqual({ status: 413, body: "" });
    const { port } = new URL(receiver.url);
    const socket = connect(Number(port), "127.0.0.1");
    const head = [
      "POST /webhook HTTP/1.1",
      "Host: x",
      "X-Hub-Signature-256: sha256=0",
      "Transfer-Encoding: chunked",
    ];
    socket.write(`${head.join("\r\n")}\r\n\r\n`);
    const chunk = `10000\r\n${"x".repeat(0x10000)}\r\n`;
    for (let count = 0; count < 20; count++) socket.write(chunk);
    let heard = "";
    socket.setEncoding("utf8").on("data", (part: string) => (heard += part));
    await new Promise((resolve) => socket.on("error", () => undefined).on("close", resolve));
    // What ends a connection in the middle of a body may overtake the answer.
    expect(["", "HTTP/1.1 413 "]).toContain(heard.slice(0, 13));
    expect((await deliver(push())).status).toBe(202);
  });

  test("more than an address may ask: 403", async () => {
    const asked = await Promise.all(Array.from({ length: 60 }, () => deliver(push())));
    const statuses = asked.map(({ status }) => status);
    expect(statuses.filter((status) => status === 202).length).toBeGreaterThanOrEqual(30);
    expect(statuses).toContain(403);
    expect(pushes).toHaveLength(statuses.filter((status) => status === 202).length);
  });
});

test("each address has a rate of its own, and the quiet ones are forgotten", () => {
  const limit = new RateLimit({ perSecond: 0.001, atOnce: 2 });
  expect([1, 2, 3].map(() => limit.admits("a"))).toEqual([true, true, false]);
  expect(limit.admits("b")).toBe(true);
  for (let count = 0; count < 1_000; count++) limit.admits(`other ${count}`);
  expect(limit.admits("a")).toBe(true);
});

test("an address that is taken is named", async () => {
  const port = Number(new URL(receiver.url).port);
  const taken = receiveWebhooks({
    host: "127.0.0.1",
    port,
    secret: () => Promise.resolve(secret),
    onPush: () => undefined,
  });
  await expect(taken).rejects.toMatchObject({
    code: "InvalidArgument",
    message: expect.stringContaining(String(port)),
  });
});

test("a request that is never finished keeps no place for long", async () => {
  const socket = connect(Number(new URL(receiver.url).port), "127.0.0.1").resume();
  const closed = once(socket, "close");
  socket.write("POST /webhook HTTP/1.1\r\nHost");
  await closed;
}, 40_000);

test("over HTTPS with a certificate of its own", async () => {
  const authority = await Authority.create(temporaryDirectory(), "authority");
  const tls = await authority.sign("IP:127.0.0.1");
  await receiver.close();
  receiver = await receiveWebhooks({
    host: "127.0.0.1",
    port: 0,
    tls,
    secret: () => Promise.resolve(secret),
    onPush: (isMeant) => void pushes.push(isMeant),
  });
  const signature = await sign(secret, push());
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  const headers = { "x-hub-signature-256": signature, "x-github-event": "push" };
  request(receiver.url, { method: "POST", ca: await authority.certificate(), headers }, (answer) =>
    resolve(answer.statusCode),
  )
    .on("error", reject)
    .end(push());
  expect(receiver.url).toMatch(/^https:/);
  expect(await promise).toBe(202);
  expect(pushes).toHaveLength(1);
});
