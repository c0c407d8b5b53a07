import { spawn } from "node:child_process";
import { timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { generateKeyPair } from "../../lab/keys.ts";
import { hostEnvironment, runsAsRoot } from "../../lab/platform.ts";
import { reservePort } from "../../lab/ports.ts";
import { sshdGreets, waitUntilReady } from "../../lab/readiness.ts";
import { spawnTied } from "./tied-process.ts";

/** Git as it is without the settings of the machine and its user. */
export const gitEnvironment: NodeJS.ProcessEnv = {
  ...hostEnvironment,
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_TERMINAL_PROMPT: "0",
};

/** A way to the repositories of a git server. */
export interface GitTransport {
  readonly port: number;
  stop(): Promise<void>;
}

/**
 * What happens before a service starts, in the shell, in the folder of the repository; $service is `upload-pack` or
 * `receive-pack`, $root the folder of all repositories. What lies ready for the next push runs once. Whatever starts is
 * logged before it does: an empty file `<nanoseconds>,<transport>,<service>,<path with % for />,<random>`.
 */
const beforeService = (transport: string) => `
mkdir -p "$root/requests"
path=$(pwd | cut -c "$((\${#root} + 2))-" | tr / %)
mktemp "$root/requests/$(date +%s%N),${transport},$service,$path,XXXXXX" >/dev/null
if [ "$service" = receive-pack ] && mv before-next-push before-this-push 2>/dev/null; then
  sh -eu ./before-this-push >&2
fi
`;

/** sshd's forced command. $1 is the folder of all repositories. */
const forcedCommand = `
set -eu
root=$1
cd "$root"
service=\${SSH_ORIGINAL_COMMAND%% *}
service=\${service#git-}
path=\${SSH_ORIGINAL_COMMAND#*"'"}
path=\${path%"'"}
case "$service" in upload-pack | receive-pack) ;; *) echo "not a git command" >&2; exit 126 ;; esac
case "$path" in *..* | *"'"*) echo "not a repository" >&2; exit 128 ;; esac
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
cd ".$path" 2>/dev/null || { echo "fatal: '$path' does not appear to be a git repository" >&2; exit 128; }
${beforeService("ssh")}
exec git "$service" .
`;

/** What is needed to log in at sshd. */
export interface GitSSH extends GitTransport {
  readonly user: string;
  /** OpenSSH's format, not encrypted. */
  readonly privateKey: string;
  /** One line of known_hosts. */
  readonly knownHosts: string;
}

/** Starts Debian's sshd, which lets one key in, for git and nothing else. `directory` is the server's own folder. */
export async function startGitSSH(directory: string, repositories: string): Promise<GitSSH> {
  const [host, person] = [generateKeyPair("git-server"), generateKeyPair("git-person")];
  const file = (name: string): string => join(directory, name);
  const reserved = await reservePort();
  const { port } = reserved;
  const configuration = [
    `Port ${port}`,
    "ListenAddress 127.0.0.1",
    `HostKey ${file("host-key")}`,
    `AuthorizedKeysFile ${file("authorized-keys")}`,
    `ForceCommand sh ${file("forced-command")} ${repositories}`,
    "AcceptEnv GIT_PROTOCOL",
    "PermitRootLogin yes",
    "PasswordAuthentication no",
    "StrictModes no",
    "UsePAM no",
    "UseDNS no",
    "MaxStartups 200",
    "PidFile none",
  ];
  await writeFile(file("host-key"), host.privateKey, { mode: 0o600 });
  await writeFile(file("authorized-keys"), `${person.publicKey}\n`);
  await writeFile(file("forced-command"), forcedCommand);
  await writeFile(file("sshd-config"), `${configuration.join("\n")}\n`);
  if (runsAsRoot()) await mkdir("/run/sshd", { recursive: true, mode: 0o755 });
  const sshd = spawnTied(["/usr/sbin/sshd", "-D", "-e", "-f", file("sshd-config")], {
    environment: gitEnvironment,
  });
  const why = await waitUntilReady(sshd.child, [sshdGreets(port)]);
  await reserved.release();
  if (why !== undefined)
    throw new Error(
      `sshd of the git server did not start (is openssh-server installed?): ${why}. ${sshd.said()}`,
    );
  const [type, key] = host.publicKey.split(" ");
  return {
    port,
    user: userInfo().username,
    privateKey: person.privateKey,
    knownHosts: `[127.0.0.1]:${port} ${type} ${key}\n`,
    stop: () => sshd.stop(),
  };
}

/** Starts a server of git's smart HTTP on loopback: Basic authentication with any user name and the token as password. */
export async function startGitHTTP(repositories: string, token: string): Promise<GitTransport> {
  const server = createServer((request, response) => {
    if (isAuthorized(request, token)) return void runBackend(repositories, request, response);
    response.writeHead(401, { "www-authenticate": 'Basic realm="git"' }).end();
    request.resume();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, stop: () => closed(server) };
}

function isAuthorized({ headers }: IncomingMessage, token: string): boolean {
  const [, encoded = ""] = /^Basic (.*)$/.exec(headers.authorization ?? "") ?? [];
  const given = Buffer.from(
    Buffer.from(encoded, "base64")
      .toString()
      .replace(/^[^:]*:/, ""),
  );
  const wanted = Buffer.from(token);
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

/** Runs git-http-backend, a CGI program. $1 is the folder of the repository, $service empty but where one starts. */
const backend = `
if [ -n "$service" ]; then cd "$1" && { ${beforeService("http")} }; fi
exec git http-backend
`;

function runBackend(repositories: string, request: IncomingMessage, response: ServerResponse): void {
  const { pathname, search, searchParams } = new URL(request.url ?? "/", "http://127.0.0.1");
  const { headers } = request;
  const service = pathname.endsWith("/info/refs") ? searchParams.get("service") : null;
  const repository = join(repositories, pathname.replace(/\/info\/refs$/, ""));
  const environment = {
    ...gitEnvironment,
    service: service?.replace(/^git-/, "") ?? "",
    root: repositories,
    GIT_PROJECT_ROOT: repositories,
    GIT_HTTP_EXPORT_ALL: "1",
    REMOTE_USER: "person",
    REMOTE_ADDR: "127.0.0.1",
    REQUEST_METHOD: request.method,
    PATH_INFO: pathname,
    QUERY_STRING: search.slice(1),
    CONTENT_TYPE: headers["content-type"] ?? "",
    CONTENT_LENGTH: headers["content-length"] ?? "",
    HTTP_CONTENT_ENCODING: headers["content-encoding"] ?? "",
    GIT_PROTOCOL: String(headers["git-protocol"] ?? ""),
  };
  const child = spawn("sh", ["-c", backend, "sh", repository], { env: environment });
  child.stdin.on("error", () => undefined);
  request.pipe(child.stdin);
  response.on("close", () => child.kill());
  passOn(child.stdout, response);
}

/** A CGI program's answer: header lines, an empty line, the body. */
function passOn(output: NodeJS.ReadableStream, response: ServerResponse): void {
  let start = Buffer.alloc(0);
  output.on("data", (chunk: Buffer) => {
    if (response.headersSent) return void response.write(chunk);
    start = Buffer.concat([start, chunk]);
    const end = start.indexOf("\r\n\r\n");
    if (end === -1) return;
    for (const line of start.subarray(0, end).toString().split("\r\n")) {
      const [name = "", value = ""] = line.split(/: (.*)/);
      if (name.toLowerCase() === "status") response.statusCode = Number.parseInt(value, 10);
      else response.appendHeader(name, value);
    }
    response.write(start.subarray(end + 4));
  });
  output.on("end", () => {
    if (!response.headersSent) response.statusCode = 500;
    response.end();
  });
}

function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
