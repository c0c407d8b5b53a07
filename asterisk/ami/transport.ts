import { lstat, mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer, isIP, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { checkServerIdentity, connect as connectTLS, type ConnectionOptions } from "node:tls";
import { asAsteriskIacError, AsteriskIacError, hasErrorCode } from "../../core/errors.ts";
import type { Endpoint } from "./wire.ts";

/**
 * How AMI is reached. `tls` verifies the certificate against `ca` (PEM; default: the certificates that Node trusts)
 * and against `serverName` (default: `host`), always; its default port is Asterisk's 5039. `stream` is any byte
 * stream to the port, above all an SSH tunnel (`() => host.connectTCP("127.0.0.1", 5038)`).
 */
export type Transport =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | {
      readonly kind: "tls";
      readonly host: string;
      readonly port?: number;
      readonly ca?: string | readonly string[];
      readonly serverName?: string;
    }
  | { readonly kind: "stream"; readonly open: () => Promise<Duplex> };

/** The way there, for messages: `127.0.0.1:5038`, `pbx.example:5039 over TLS`, `its SSH tunnel`. */
export function describeTransport(transport: Transport): string {
  switch (transport.kind) {
    case "tcp":
      return `${transport.host}:${transport.port}`;
    case "tls":
      return `${transport.host}:${transport.port ?? 5039} over TLS`;
    case "stream":
      return "its SSH tunnel";
  }
}

/** An endpoint that a wire can connect to once. */
export interface Reached {
  readonly endpoint: Endpoint;
  /** Why the stream behind the endpoint broke, if it did. */
  failure(): Error | undefined;
  /** Ends the stream behind the endpoint; a plain TCP endpoint has none. */
  close(): void;
}

/**
 * Opens what has to be open before asterisk-manager can connect: nothing for TCP; the verified TLS connection or the
 * stream otherwise, handed on through a private socket, since asterisk-manager connects only by itself. Rejects with
 * `CertificateRefused`, `Unreachable` or what `open` rejects with; `signal` gives up.
 */
export async function reach(transport: Transport, signal: AbortSignal): Promise<Reached> {
  if (transport.kind === "tcp") {
    const { host, port } = transport;
    return { endpoint: { host, port }, failure: () => undefined, close: () => undefined };
  }
  const stream =
    transport.kind === "tls" ? await openTLS(transport, signal) : await openStream(transport, signal);
  try {
    return await shareOnce(stream);
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

async function openStream(transport: Transport & { kind: "stream" }, signal: AbortSignal): Promise<Duplex> {
  const opening = transport.open();
  const gaveUp = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
  try {
    return await Promise.race([opening, gaveUp]);
  } catch (error) {
    // A stream that opens after all has nobody to use it.
    opening.then(
      (late) => late.destroy(),
      () => undefined,
    );
    throw asAsteriskIacError(error, "Unreachable");
  }
}

function openTLS(transport: Transport & { kind: "tls" }, signal: AbortSignal): Promise<Duplex> {
  const name = transport.serverName ?? transport.host;
  const options: ConnectionOptions = {
    host: transport.host,
    port: transport.port ?? 5039,
    rejectUnauthorized: true,
    minVersion: "TLSv1.2",
    // SNI is for names only; an address is still checked against the certificate.
    servername: isIP(name) === 0 ? name : "",
    checkServerIdentity: (_, certificate) => checkServerIdentity(name, certificate),
    ...(transport.ca === undefined ? {} : { ca: [transport.ca].flat() as string[] }),
  };
  return new Promise((resolve, reject) => {
    const socket = connectTLS(options);
    const giveUp = () => socket.destroy(signal.reason as Error);
    signal.addEventListener("abort", giveUp, { once: true });
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 5_000);
    socket.once("error", (error) => {
      signal.removeEventListener("abort", giveUp);
      reject(tlsError(error, name, describeTransport(transport)));
    });
    socket.once("secureConnect", () => {
      signal.removeEventListener("abort", giveUp);
      socket.removeAllListeners("error");
      resolve(socket);
    });
  });
}

/** OpenSSL's names of what can be wrong with a certificate, as Node puts them into `error.code`. */
const certificateCodes =
  /^(CERT_|CRL_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|INVALID_|PATH_LENGTH|HOSTNAME_|ERR_TLS_CERT|ERR_SSL_EE_KEY|ERR_SSL_CA_)/;

function tlsError(error: NodeJS.ErrnoException, name: string, where: string): AsteriskIacError {
  if (error instanceof AsteriskIacError) return error;
  if (certificateCodes.test(error.code ?? "")) {
    return new AsteriskIacError(
      "CertificateRefused",
      `The certificate of AMI at ${where} was refused for ${name}: ${error.code}. Nothing was sent.`,
      {
        hint:
          "Give the certificate of its authority as ami.tls.caSecretRef, the name in it as ami.tls.serverName, or renew " +
          "it on the server (tlscertfile in manager.conf).",
        cause: error,
      },
    );
  }
  const speaksNoTLS = error.code?.startsWith("ERR_SSL_") === true || error.code === "EPROTO";
  return new AsteriskIacError(
    "Unreachable",
    `AMI at ${where} can't be reached: ${error.code ?? error.message}.`,
    {
      next: "Retry",
      hint: speaksNoTLS
        ? "What answers there does not speak TLS: AMI over TLS is tlsbindaddr in manager.conf, port 5039 by default."
        : "Check ami.host and ami.port, and that manager.conf has enabled=yes and tlsenable=yes.",
      cause: error,
    },
  );
}

const directoryName = "asterisk-iac-ami";

/** Directories that are older than this have been connected to, or their process was killed. Milliseconds. */
const oldest = 60_000;

let swept: Promise<void> | undefined;

/** Removes what killed processes of this user left in the directory for temporary files; once in each process. */
async function sweep(): Promise<void> {
  const names = await readdir(tmpdir()).catch(() => []);
  await Promise.all(names.map((name) => removeLeft(name).catch(() => undefined)));
}

async function removeLeft(name: string): Promise<void> {
  const pid = new RegExp(`^${directoryName}-(\\d+)-`).exec(name)?.[1];
  if (pid === undefined || isRunning(Number(pid))) return;
  const directory = join(tmpdir(), name);
  const { uid, mtimeMs } = await lstat(directory);
  // A process in another container may have that number.
  if (uid === process.getuid?.() && mtimeMs < Date.now() - oldest) await rm(directory, { recursive: true });
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return !hasErrorCode(error, "ESRCH");
  }
}

/**
 * A socket below a new directory that only this user can enter, for one connection, which is then the stream. The
 * directory is gone as soon as somebody connected, or when it is closed.
 */
async function shareOnce(stream: Duplex): Promise<Reached> {
  let failure: Error | undefined;
  let local: Socket | undefined;
  // A stream may break before anybody listens.
  stream.on("error", (error) => (failure ??= error));
  await (swept ??= sweep());
  const directory = await mkdtemp(join(tmpdir(), `${directoryName}-${process.pid}-`));
  const path = join(directory, "ami");
  const server = createServer((socket) => {
    local = socket;
    stopListening();
    socket.on("error", () => undefined);
    socket.on("close", () => stream.destroy());
    // Ended, not destroyed: what the stream brought last (why a login was refused) still has to get through.
    stream.on("close", () => socket.end());
    stream.pipe(socket).pipe(stream);
    if (stream.destroyed) socket.end();
  });
  const stopListening = () => {
    server.close();
    rm(directory, { recursive: true, force: true }).catch(() => undefined);
  };
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  }).catch((error: unknown) => {
    stopListening();
    throw new AsteriskIacError("Unreachable", `A private socket for AMI can't be made in ${tmpdir()}.`, {
      hint: "A directory for temporary files is needed that can be written and has a short name (TMPDIR).",
      cause: error,
    });
  });
  return {
    endpoint: { path },
    failure: () => failure,
    close() {
      if (local === undefined) stopListening();
      stream.destroy();
    },
  };
}
