import type { ChildProcess } from "node:child_process";
import { connect } from "node:net";
import type { AMICredentials } from "./configuration.ts";
import { until } from "./process.ts";

/** Something that is true once a server is ready, and what to say while it is not. */
export interface Condition {
  readonly complaint: string;
  readonly isMet: () => Promise<boolean>;
}

const deadlineMs = 60_000;

/** Waits for each condition in turn. Answers undefined, or why the server is not ready: also when its process ended. */
export async function waitUntilReady(
  child: ChildProcess,
  conditions: readonly Condition[],
): Promise<string | undefined> {
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  for (const { complaint, isMet } of conditions) {
    const isMetOrOver = async () => hasEnded() || (await isMet());
    if (!(await until(isMetOrOver, deadlineMs))) return `${complaint} within ${deadlineMs / 1000} s`;
    if (hasEnded()) return "its machine ended";
  }
  return undefined;
}

/** sshd greets. */
export function sshdGreets(port: number): Condition {
  return {
    complaint: "sshd did not greet",
    isMet: () => converse(port, "", (heard) => heard.startsWith("SSH-2.0-")),
  };
}

/** AMI lets the account in and says FullyBooted: so the port is this server's, as no other knows the secret. */
export function asteriskHasBooted(port: number, account: AMICredentials): Condition {
  const login = `Action: Login\r\nUsername: ${account.username}\r\nSecret: ${account.password}\r\n\r\n`;
  return {
    complaint: "Asterisk did not say FullyBooted",
    isMet: () => converse(port, login, (heard) => heard.includes("\r\nEvent: FullyBooted\r\n")),
  };
}

/** Connects, says something and listens: true once the other side has said enough, false when it ends or errs. */
function converse(port: number, words: string, enough: (heard: string) => boolean): Promise<boolean> {
  const socket = connect({ port, host: "127.0.0.1", timeout: 2_000 });
  let heard = "";
  return new Promise<boolean>((resolve) => {
    socket.on("connect", () => socket.write(words));
    socket.on("data", (chunk) => {
      heard += chunk.toString("latin1");
      if (enough(heard)) resolve(true);
    });
    for (const end of ["timeout", "close", "error"]) socket.on(end, () => resolve(false));
  }).finally(() => socket.destroy());
}
