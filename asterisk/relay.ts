import { Duplex } from "node:stream";
import { AsteriskIacError } from "../core/errors.ts";
import { compile } from "./shell.ts";
import type { Shell } from "./shell.ts";

const connected = "connected\n";
const maxAnswerBytes = 64 * 1024;

/**
 * Bytes both ways between the shell and a socket. Perl, because it belongs to every Debian and to what FreePBX needs,
 * and no shell opens a socket itself. Either end's end is the other's. A short pause after each piece lets a flood of
 * lines come as few packets.
 */
const script = `
exec perl -e '
use strict; use Socket;
socket(my $socket, PF_UNIX, SOCK_STREAM, 0) or die "$!\\n";
connect($socket, sockaddr_un($ARGV[0])) or die "$!\\n";
$| = 1;
print "connected\\n";
sub copy {
  my ($from, $to, $pause) = @_;
  while (sysread($from, my $bytes, 65536)) {
    for (my $done = 0; $done < length $bytes;) {
      $done += syswrite($to, $bytes, length($bytes) - $done, $done) || exit 0;
    }
    select(undef, undef, undef, $pause);
  }
}
my $child = fork();
defined $child or die "$!\\n";
if ($child == 0) { copy($socket, \\*STDOUT, 0.004); kill "TERM", getppid(); exit 0 }
copy(\\*STDIN, $socket, 0);
kill "TERM", $child;
' "$1"
`;

/**
 * A Unix socket through a shell that runs as a user who may use it. Rejects with `Unreachable` or `TimedOut`, and with
 * `PermissionDenied` where sudo refuses the shell.
 */
export async function relay(shell: Shell, path: string, timeoutMs: number): Promise<Duplex> {
  const { line, marker } = compile(script, [path]);
  const said: string[] = [];
  shell.stderr.on("data", (bytes: Buffer) => said.length < 20 && said.push(bytes.toString("utf8")));
  shell.stdin.on("error", () => undefined);
  shell.stdin.write(line);
  const start = await answered(shell, marker, timeoutMs);
  if (start !== "connected") {
    await shell.kill(start.pid);
    throw start.pid === undefined && start.why === "ended" && shell.sudoersLine !== undefined
      ? noShell(said.join(""), shell.sudoersLine)
      : noRelay(path, start.why, said.join("").split(marker).at(-1) ?? "");
  }
  return new RelayStream(shell);
}

/** The relay as one stream. Ending it ends the shell; the shell's end closes it. */
class RelayStream extends Duplex {
  readonly #shell: Shell;

  constructor(shell: Shell) {
    super();
    this.#shell = shell;
    shell.stdout.on("data", (bytes: Buffer) => {
      if (!this.push(bytes)) shell.stdout.pause();
    });
    shell.stdout.once("end", () => this.push(null));
    void shell.closed.then(() => this.destroy());
  }

  override _read(): void {
    this.#shell.stdout.resume();
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#shell.stdin.write(bytes, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#shell.stdin.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#shell.stdin.end();
    // What still comes is read and dropped, so that the shell can end.
    this.#shell.stdout.removeAllListeners("data").resume();
    done(error);
  }
}

type Answer = "connected" | { readonly pid: number | undefined; readonly why: "ended" | "late" };

/** Waits for the relay's first line; what came after it is put back. */
async function answered(shell: Shell, marker: string, timeoutMs: number): Promise<Answer> {
  let text = Buffer.alloc(0);
  const pid = (): number | undefined => {
    const digits = new RegExp(`${marker} (\\d+)\\.`).exec(text.toString("latin1"))?.[1];
    return digits === undefined ? undefined : Number(digits);
  };
  const first = Promise.withResolvers<Answer>();
  const hear = (bytes: Buffer): void => {
    text = Buffer.concat([text, bytes]);
    const begin = text.indexOf(marker);
    const at = begin === -1 ? -1 : text.indexOf(connected, begin);
    if (at !== -1) {
      shell.stdout.off("data", hear).pause();
      const rest = text.subarray(at + connected.length);
      if (rest.length > 0) shell.stdout.unshift(rest);
      first.resolve("connected");
    } else if (text.length > maxAnswerBytes) first.resolve({ pid: pid(), why: "ended" });
  };
  shell.stdout.on("data", hear);
  void shell.closed.then(() => first.resolve({ pid: pid(), why: "ended" }));
  const timer = setTimeout(() => first.resolve({ pid: pid(), why: "late" }), timeoutMs);
  try {
    return await first.promise;
  } finally {
    clearTimeout(timer);
    shell.stdout.off("data", hear);
  }
}

function noShell(said: string, sudoersLine: string): AsteriskIacError {
  return new AsteriskIacError(
    "PermissionDenied",
    `sudo does not run sh as the owner of the files: ${said.trim()}`,
    {
      hint: `Install sudo there if it is missing, and add this line to sudoers (visudo): ${sudoersLine}`,
    },
  );
}

function noRelay(path: string, why: "ended" | "late", said: string): AsteriskIacError {
  const reason = why === "late" ? "no answer in time" : said.trim() || "the shell ended";
  return new AsteriskIacError(
    why === "late" ? "TimedOut" : "Unreachable",
    `The socket ${path} can't be reached: ${reason}.`,
    {
      next: "Retry",
      hint: "Check that the program runs there. A socket that only `become` may use is reached by perl, which must be there.",
    },
  );
}
