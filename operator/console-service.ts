import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Audit } from "../console/audit.ts";
import { readCertificate, selfSignedCertificate } from "../console/certificate.ts";
import type { TLSIdentity } from "../console/certificate.ts";
import { KubernetesSignIn } from "../console/kubernetes-sign-in.ts";
import { isLoopback, startWebConsole } from "../console/web-console.ts";
import { AsteriskIacError, asAsteriskIacError } from "../core/errors.ts";
import { ConsoleServers } from "./console-servers.ts";
import type { ServerObject } from "./objects.ts";
import type { KubernetesAPI } from "./runtime/api.ts";
import type { Informer } from "./runtime/informer.ts";

export interface ConsoleServiceOptions {
  /** Asked who somebody is and what they may do, and for the Secrets that log in to servers. */
  readonly api: KubernetesAPI;
  readonly servers: Pick<Informer<ServerObject>, "get" | "list" | "on">;
  readonly audit: Audit;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** The address that browsers use; default: that of the listener. */
  readonly url?: URL | undefined;
  /** In PEM, as a Secret of type kubernetes.io/tls is mounted. Default: a self-signed one, made anew at each start. */
  readonly certificateFile?: string | undefined;
  readonly keyFile?: string | undefined;
  /** How often the files are looked at for a renewed certificate. */
  readonly renewalCheckMs?: number;
  readonly onError: (error: AsteriskIacError) => void;
}

/** A console service that listens. */
export interface ConsoleService {
  readonly url: string;
  readonly port: number;
  /** SHA-256 of its certificate, as browsers show it. */
  readonly fingerprint: string;
  close(): Promise<void>;
}

/**
 * Serves the web console of the cluster's AsteriskServers, named NAMESPACE/NAME, over TLS. It changes nothing that a reconcile does, so every replica may serve: none waits for the Lease. Rejects with
 * `InvalidArgument` for options that don't go together, and where the port can't be listened on or the certificate not be
 * read.
 */
export async function startConsoleService(options: ConsoleServiceOptions): Promise<ConsoleService> {
  const { api, url, host, port } = options;
  const read = certificateReader(options);
  if (url === undefined && ["0.0.0.0", "::"].includes(host))
    throw new AsteriskIacError(
      "InvalidArgument",
      "without its address the console can't tell whose pages may use it",
      { hint: "Give the address that browsers use with --console-url, or listen on one address." },
    );
  const tls = await (read?.() ?? selfSigned(host, url));
  const servers = new ConsoleServers(options.servers, api);
  const web = await startWebConsole({
    ...{ servers, host, port, tls, audit: options.audit },
    signIn: new KubernetesSignIn((path, body) => api.request({ method: "POST", path, body })),
    ...(url === undefined ? {} : { url }),
  });
  let current = tls.fingerprint;
  const renew = async (): Promise<void> => {
    try {
      const now = await read?.();
      if (now === undefined || now.fingerprint === current) return;
      web.useCertificate(now);
      current = now.fingerprint;
    } catch (thrown) {
      options.onError(asAsteriskIacError(thrown));
    }
  };
  const renewal = setInterval(() => void renew(), options.renewalCheckMs ?? 60_000).unref();
  return {
    ...{ url: web.url, port: web.port, fingerprint: tls.fingerprint },
    close: async () => {
      clearInterval(renewal);
      await web.close();
      await servers.close();
    },
  };
}

function certificateReader({
  certificateFile,
  keyFile,
}: ConsoleServiceOptions): (() => Promise<TLSIdentity>) | undefined {
  if (certificateFile !== undefined && keyFile !== undefined)
    return () => readCertificate(certificateFile, keyFile);
  if (certificateFile === keyFile) return undefined;
  throw new AsteriskIacError("InvalidArgument", "--console-tls-cert and --console-tls-key belong together");
}

/** Its key never lasts longer than this process. */
async function selfSigned(host: string, url: URL | undefined): Promise<TLSIdentity> {
  const own = isLoopback(host) ? ["localhost", "127.0.0.1", "::1"] : [host];
  const names = url === undefined ? own : [url.hostname.replace(/^\[|\]$/g, ""), ...own];
  const directory = await mkdtemp(join(tmpdir(), "asterisk-iac-console-"));
  try {
    return await selfSignedCertificate(directory, [...new Set(names)]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
