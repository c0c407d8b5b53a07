import type { Duplex } from "node:stream";

/** What a script on the host answered. `stdout` is bytes: file contents travel in it. */
export interface ScriptResult {
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface ScriptOptions {
  /** Positional parameters `$1`, `$2`, … of the script. Passed as data, never as shell text. */
  readonly args?: readonly string[];
  /** Bytes for the script's standard input. */
  readonly stdin?: Uint8Array;
  /** Deadline in milliseconds for the whole script; default 30,000. */
  readonly timeoutMs?: number;
  /** Most bytes of standard output that are accepted; default 512 MiB. More is an error, never a cut. */
  readonly maxOutputBytes?: number;
}

/**
 * The machine that Asterisk runs on, over SSH or this very machine. The scripts are POSIX sh; they run as the user
 * that owns the files (`become`, through `sudo -n`) where one is declared.
 *
 * All calls reject with an AsteriskIacError: `Unreachable`, `TimedOut`, `ConnectionLost`, `PermissionDenied`, …
 * A script that exits with a code other than 0 is an answer, not an error.
 */
export interface Host {
  /** Runs one script. One round trip. */
  run(script: string, options?: ScriptOptions): Promise<ScriptResult>;
  /** Opens a TCP connection from the host's side (SSH direct-tcpip, or this machine's own). */
  connectTCP(host: string, port: number): Promise<Duplex>;
  /**
   * Round trips so far, once the connection was up: each script and each TCP connection counts as one, and those that are
   * sent together count once. (Over SSH a shell is started ahead, so that a script does not wait for its channel.)
   */
  readonly roundTrips: number;
  close(): Promise<void>;
}

/** A Host on which Unix sockets can be opened too, as on every real machine. */
export interface SocketHost extends Host {
  /**
   * Opens a Unix socket on the host's side: as the login user, or where that one may not and `become` is declared, as
   * the files' owner, through a shell. Counts as one round trip. Rejects with `Unreachable` where nothing listens or
   * the socket can't be used, and with `PermissionDenied` where sshd forbids it.
   */
  connectUnix(path: string): Promise<Duplex>;
}
