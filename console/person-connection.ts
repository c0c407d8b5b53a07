import type { WebSocket } from "ws";
import { z } from "zod";
import type { Role } from "../core/judge/commands.ts";
import { plain } from "../core/judge/output.ts";
import { ConsoleSession } from "../engine/console-session.ts";
import type { LineEvent, LineResult } from "../engine/console-session.ts";
import type { AuditEntry } from "./audit.ts";
import type { OfferedServer } from "./servers.ts";
import type { EndReason } from "./sessions.ts";

/** What a browser may send, each as one JSON text. */
const request = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("line"), line: z.string().max(2048) }),
  z.strictObject({ type: z.literal("complete"), line: z.string().max(512) }),
]);

/** What it is sent. Texts are harmless on a terminal. */
export type Told =
  | { readonly type: "log"; readonly text: string; readonly omitted: number }
  | { readonly type: "state"; readonly connected: boolean; readonly text: string }
  | { readonly type: "result"; readonly outcome: LineResult["outcome"]; readonly text: string }
  | {
      readonly type: "completion";
      readonly line: string;
      readonly candidates: readonly string[];
      readonly common: string;
    };

/** Why a connection was ended, by WebSocket's code. */
export const closeCodes = {
  signedOut: 4001,
  idle: 4002,
  hostile: 4003,
  withdrawn: 4005,
} as const;

/** What waits to be sent to a browser beyond this is left out, and counted. */
const maxBufferedBytes = 256 * 1024;
/** Beyond this it is gone: it reads nothing at all, answers included. */
const tooManyBufferedBytes = 4 * 1024 * 1024;
const maxAnswerBytes = 256 * 1024;
/** Lines that were sent before the one before was answered. */
const maxWaiting = 8;
const maxCandidates = 200;
const pingMs = 20_000;

export interface PersonOptions {
  readonly server: OfferedServer;
  readonly role: Role;
  /** Of the session, with its `EndReason`. */
  readonly ended: AbortSignal;
  /** Throws where it can't be written. */
  readonly audit: (entry: Pick<AuditEntry, "event" | "outcome"> & Partial<AuditEntry>) => void;
  /** The same for what is done or refused in any case: never throws. */
  readonly note: PersonOptions["audit"];
  /** Called when something was typed. */
  readonly onTyped: () => void;
}

/** One browser's open console, from its first message to its last. Resolves when it is closed. */
export async function servePerson(socket: WebSocket, options: PersonOptions): Promise<void> {
  const { server, role, audit, note } = options;
  let omitted = 0;
  const tell = (told: Told): void => {
    if (socket.readyState !== socket.OPEN) return;
    if (socket.bufferedAmount > tooManyBufferedBytes) socket.terminate();
    else socket.send(JSON.stringify(told));
  };
  const session = new ConsoleSession(server.console, {
    role,
    policy: server.policy,
    maxAnswerBytes,
    onLine: (event) => audit(entryOf(event)),
    log: {
      onText: (text, left) => {
        omitted += left;
        if (socket.bufferedAmount > maxBufferedBytes) {
          omitted += text.split("\n").length - 1;
          return;
        }
        tell({ type: "log", text, omitted });
        omitted = 0;
      },
      onState: (state) =>
        tell({
          type: "state",
          connected: state.connected,
          text: plain(
            state.connected
              ? `Asterisk ${state.banner.asteriskVersion} on ${state.banner.hostName}`
              : `${state.error.message} Trying again.`,
          ),
        }),
    },
  });

  const signedOut = (): void => {
    const isIdle = (options.ended.reason as EndReason) === "Idle";
    if (isIdle) socket.close(closeCodes.idle, "nothing was typed for a long time");
    else socket.close(closeCodes.signedOut, "signed out");
  };
  options.ended.addEventListener("abort", signedOut);
  if (options.ended.aborted) signedOut();
  const withdrawn = (): void => socket.close(closeCodes.withdrawn, "the server is declared otherwise now");
  server.withdrawn?.addEventListener("abort", withdrawn);
  if (server.withdrawn?.aborted === true) withdrawn();

  let isAlive = true;
  const pings = setInterval(() => {
    if (!isAlive) socket.terminate();
    isAlive = false;
    socket.ping();
  }, pingMs);
  socket.on("pong", () => (isAlive = true));

  let waiting = 0;
  let work = Promise.resolve();
  socket.on("message", (bytes, isBinary) => {
    const message = isBinary ? undefined : parse(bytes.toString());
    if (message === undefined || waiting >= maxWaiting) {
      socket.close(closeCodes.hostile, "not understood");
      note({ event: "request", outcome: "Refused", reason: "not what the page sends, or too much of it" });
      return;
    }
    options.onTyped();
    waiting += 1;
    work = work.then(async () => {
      if (socket.readyState === socket.OPEN) tell(await answer(session, message));
      waiting -= 1;
    });
  });
  socket.on("error", () => socket.terminate());

  await new Promise<void>((resolve) => void socket.once("close", () => resolve()));
  clearInterval(pings);
  options.ended.removeEventListener("abort", signedOut);
  server.withdrawn?.removeEventListener("abort", withdrawn);
  session.close();
}

async function answer(session: ConsoleSession, message: z.infer<typeof request>): Promise<Told> {
  if (message.type === "complete") {
    const { candidates, common } = await session.complete(message.line);
    return { type: "completion", line: message.line, candidates: candidates.slice(0, maxCandidates), common };
  }
  const result = await session.line(message.line);
  if (result.outcome === "Refused") return { type: "result", outcome: "Refused", text: plain(result.reason) };
  if (result.outcome === "Failed")
    return { type: "result", outcome: "Failed", text: plain(result.error.message) };
  const { text, omittedBytes } = result;
  const more = omittedBytes === 0 ? "" : `\n… ${omittedBytes} more bytes were left out`;
  return { type: "result", outcome: "Answered", text: `${text}${more}` };
}

function parse(text: string): z.infer<typeof request> | undefined {
  try {
    return request.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

function entryOf(event: LineEvent): Pick<AuditEntry, "event" | "outcome"> & Partial<AuditEntry> {
  if (event.outcome !== "Failed") return { event: "command", ...event };
  return { event: "command", outcome: event.outcome, line: event.line, reason: event.code };
}
