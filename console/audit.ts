import { pino } from "pino";
import { AsteriskIacError } from "../core/errors.ts";

/** One thing that was done or refused at a web console. */
export interface AuditEntry {
  readonly event: "sign-in" | "sign-out" | "connect" | "disconnect" | "command" | "request";
  readonly outcome: "Allowed" | "Refused" | "Sent" | "Answered" | "Failed";
  readonly who?: string;
  readonly role?: string;
  readonly server?: string;
  /** The address of the browser, or of the proxy before it. */
  readonly remote?: string;
  readonly session?: string;
  /** What was typed, with what may be secret blotted out. */
  readonly line?: string;
  readonly reason?: string;
  readonly milliseconds?: number;
  readonly bytes?: number;
}

/** Where audit lines go. */
export interface Audit {
  /** Throws where it can't be written: what can't be audited is not done. */
  write(entry: AuditEntry): void;
}

/** JSON lines, written before what they tell of goes on: to a file (0600) or a descriptor, by default standard error. */
export function openAudit(file: string | number = 2): Audit {
  const destination = pino.destination({ dest: file, sync: true, mkdir: true, mode: 0o600 });
  const failures: Error[] = [];
  destination.on("error", (error: Error) => failures.push(error));
  const logger = pino(
    { base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: "message" },
    destination,
  );
  return {
    write: (entry) => {
      // What could not be written before is written first.
      failures.length = 0;
      logger.info({
        audit: "console",
        ...entry,
        ...(entry.line === undefined ? {} : { line: masked(entry.line) }),
      });
      const [broken] = failures;
      if (broken === undefined) return;
      throw new AsteriskIacError("WriteFailed", `The audit can't be written: ${broken.message}.`, {
        hint: "Nothing runs at the console until it can.",
      });
    },
  };
}

const hidden = "********";
const longest = 600;

/** A line as typed, as far as it may be written down: what was refused was never taken apart into its arguments. */
export function masked(line: string): string {
  return line
    .slice(0, longest)
    .replace(/^(\s*database\s+put\s+\S+\s+\S+\s+).+/is, `$1${hidden}`)
    .replace(/^(\s*dialplan\s+set\s+global\s+\S+\s+).+/is, `$1${hidden}`)
    .replace(/^(\s*dialplan\s+set\s+chanvar\s+\S+\s+\S+\s+).+/is, `$1${hidden}`)
    .replace(/((?:secret|passw(?:or)?d|passwd|token|pin)["']?\s*[=:\s]\s*)\S+/gi, `$1${hidden}`);
}
