import { createHash } from "node:crypto";
import { AsteriskIacError } from "../../core/errors.ts";
import type { AMIOptions, Deadlines } from "./client.ts";
import type { Connection } from "./connection.ts";
import type { EventHub } from "./events.ts";
import type { Message } from "./message.ts";

/** How long FullyBooted is waited for when nobody knows whether the account can see it. */
const unknownBootMs = 2_000;

/** The key that answers a challenge: hex MD5 of challenge and password (main/manager.c, authenticate). */
export function challengeKey(challenge: string, password: string): string {
  return createHash("md5").update(challenge).update(password).digest("hex");
}

/**
 * Logs in once by MD5 challenge, in two round trips, and waits for FullyBooted where the account can see it. Gives
 * whether it was seen. A refused login is never tried again: fail2ban counts it.
 */
export async function logIn(
  connection: Connection,
  hub: EventHub,
  options: AMIOptions,
  deadlines: Deadlines,
): Promise<boolean> {
  const deadlineMs = deadlines.actionMs;
  const { response } = await connection.send("Challenge", { AuthType: "MD5" }, deadlineMs);
  const challenge = response.get("Challenge");
  if (response.get("Response") !== "Success" || challenge === undefined)
    throw refusal(connection, response, options);

  let booted = false;
  const off = hub.on("FullyBooted", () => (booted = true));
  try {
    const key = challengeKey(challenge, options.password);
    const login = connection.send(
      "Login",
      { AuthType: "MD5", Username: options.username, Key: key, Events: options.eventMask ?? "system" },
      deadlineMs,
    );
    // Asterisk says FullyBooted right behind its yes to the login, so what comes before this pong was all of it.
    const barrier = connection.ping().catch(() => undefined);
    const answer = await login;
    if (answer.response.get("Response") !== "Success") throw refusal(connection, answer.response, options);
    await barrier;
  } finally {
    off();
  }
  if (booted || options.readsSystem === false || options.eventMask === "off") return booted;
  return await waitForBoot(connection, hub, options.readsSystem === true, deadlines);
}

async function waitForBoot(
  connection: Connection,
  hub: EventHub,
  mustCome: boolean,
  deadlines: Deadlines,
): Promise<boolean> {
  const deadlineMs = mustCome ? deadlines.fullyBootedMs : Math.min(unknownBootMs, deadlines.fullyBootedMs);
  try {
    await hub.waitFor("FullyBooted", () => true, deadlineMs);
    return true;
  } catch (error) {
    const late = error instanceof AsteriskIacError && error.code === "TimedOut";
    if (!late) throw error;
    if (!mustCome) return false;
    throw new AsteriskIacError("TimedOut", `Asterisk was not fully booted after ${deadlineMs} ms.`, {
      next: "Retry",
      where: { server: connection.label },
      hint: "It may still be loading modules, or the AMI account has lost read=system.",
      cause: error,
    });
  }
}

function refusal(connection: Connection, response: Message, options: AMIOptions): AsteriskIacError {
  const why = response.get("Message") ?? "without a reason";
  const where = { server: connection.label };
  if (why === "Asterisk is shutting down") {
    return new AsteriskIacError("Unreachable", "Asterisk is shutting down and takes no AMI login.", {
      next: "Retry",
      where,
      hint:
        'If it waits for calls to end before it stops or restarts, `asterisk -rx "core abort shutdown"` on the server ' +
        "calls that off.",
    });
  }
  if (why === "Login Already In Use") {
    return new AsteriskIacError(
      "AuthenticationFailed",
      `AMI account ${options.username} is logged in already.`,
      {
        next: "Retry",
        where,
        hint: "Set allowmultiplelogin=yes for the account in manager.conf, or end its other session.",
      },
    );
  }
  return new AsteriskIacError(
    "AuthenticationFailed",
    `Asterisk refused AMI account ${options.username}: ${why}.`,
    {
      where,
      hint:
        "Check the user name, the secret, and the account's permit and deny lines in manager.conf (`manager show user`). " +
        "It was tried once and is not tried again, so that fail2ban does not ban this machine.",
    },
  );
}
