import { connect } from "node:net";
import type { Socket } from "node:net";
import type { LabServer } from "./lab.ts";

/** A session that somebody else opened: the socket where Asterisk let them in; undefined where it did not. */
export async function logIn(
  server: LabServer,
  username: string,
  secret: string,
): Promise<Socket | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket | undefined>();
  const socket = connect({ host: server.host, port: server.amiPort });
  let heard = "";
  socket.setTimeout(20_000, () => socket.destroy(new Error("no answer to a login")));
  socket.on("error", reject);
  socket.on("data", (data) => {
    heard += data.toString("latin1");
    const answer = /Response: (Success|Error)/.exec(heard);
    if (answer === null) return;
    socket.setTimeout(0);
    if (answer[1] === "Success") return resolve(socket);
    socket.destroy();
    resolve(undefined);
  });
  socket.write(`Action: Login\r\nUsername: ${username}\r\nSecret: ${secret}\r\nEvents: off\r\n\r\n`);
  return promise;
}

/** The same, closed at once. */
export async function letsIn(server: LabServer, username: string, secret: string): Promise<boolean> {
  const socket = await logIn(server, username, secret);
  socket?.destroy();
  return socket !== undefined;
}

/** The lines of Asterisk's log of logins that it refused. */
export async function refusedLogins(server: LabServer): Promise<string[]> {
  const { stdout } = await server.run([
    "sh",
    "-c",
    "cat /var/log/asterisk/messages* /var/log/asterisk/full* 2>/dev/null",
  ]);
  return stdout.split("\n").filter((line) => /failed to authenticate|tried to authenticate/.test(line));
}
