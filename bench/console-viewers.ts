/** The viewers of `bench/console.ts`, in a process of their own: `URL TOKEN COUNT`, then `open` and `close` line by line. */
import { once } from "node:events";
import { createInterface } from "node:readline";
import { Agent, fetch } from "undici";
import { WebSocket } from "ws";

const [url = "", token = "", count = "0"] = process.argv.slice(2);
const { origin } = new URL(url);
const dispatcher = new Agent({ connect: { rejectUnauthorized: false } });
let cookie = "";
let sockets: WebSocket[] = [];

const call = async (
  path: string,
  body: object,
): Promise<{ cookie: string; answer: Record<string, string> }> => {
  const response = await fetch(new URL(path, url), {
    method: "POST",
    headers: { "content-type": "application/json", origin, cookie },
    body: JSON.stringify(body),
    dispatcher,
  });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return {
    cookie: response.headers.get("set-cookie")?.split(";")[0] ?? "",
    answer: (await response.json()) as Record<string, string>,
  };
};

const open = async (): Promise<void> => {
  for (let viewer = 0; viewer < Number(count); viewer++) {
    const { answer } = await call("ticket", { server: "pbx1" });
    const socket = new WebSocket(
      new URL("socket", url.replace(/^https/, "wss")),
      ["asterisk-console", `ticket.${answer["ticket"]}`],
      {
        rejectUnauthorized: false,
        headers: { origin, cookie },
      },
    );
    await once(socket, "open");
    sockets.push(socket);
  }
  // Each has seen some of the log.
  await Promise.all(sockets.map((socket) => once(socket, "message")));
};

const close = async (): Promise<void> => {
  const ended = sockets.map((socket) => once(socket, "close"));
  for (const socket of sockets) socket.close();
  await Promise.all(ended);
  sockets = [];
};

({ cookie } = await call("session", { token }));
for await (const order of createInterface({ input: process.stdin })) {
  if (order === "open") await open();
  else await close();
  process.stdout.write(`${order} done\n`);
}
