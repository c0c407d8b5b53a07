import { connect, type Socket } from "node:net";
import type { AMICredentials } from "./configuration.ts";
import { until } from "./process.ts";

/** Waits until sshd greets. False after the deadline. */
export function waitForSSHD(port: number, deadlineMs: number): Promise<boolean> {
  return until(() => converse(port, "", (heard) => heard.startsWith("SSH-2.0-")), deadlineMs);
}

/**
 * Waits until Asterisk has booted: until AMI lets the account in and sends FullyBooted. That also proves that the
 * port is this server's, as no other knows the secret. False after the deadline.
 */
export function waitForAsterisk(port: number, account: AMICredentials, deadlineMs: number): Promise<boolean> {
  const login = `Action: Login\r\nUsername: ${account.username}\r\nSecret: ${account.password}\r\n\r\n`;
  return until(
    () => converse(port, login, (heard) => heard.includes("\r\nEvent: FullyBooted\r\n")),
    deadlineMs,
  );
}

/** Connects, says something and listens: true once the other side has said enough, false when it ends or errs. */
function converse(port: number, words: string, enough: (heard: string) => boolean): Promise<boolean> {
  const socket: Socket = connect({ port, host: "127.0.0.1", timeout: 2_000 });
  let heard = "";
  return new Promise<boolean>((resolve) => {
    socket.on("connect", () => socket.write(words));
    socket.on("data", (chunk) => {
      heard += chunk.toString("latin1");
      if (enough(heard)) resolve(true);
    });
    socket.on("timeout", () => resolve(false));
    socket.on("close", () => resolve(false));
    socket.on("error", () => resolve(false));
  }).finally(() => socket.destroy());
}
