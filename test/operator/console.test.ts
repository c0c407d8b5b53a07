import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { AuditEntry } from "../../console/audit.ts";
import { consoleAudience } from "../../console/kubernetes-sign-in.ts";
import type { AsteriskIacError } from "../../core/errors.ts";
import { hasErrorCode } from "../../core/errors.ts";
import { startConsoleService } from "../../operator/console-service.ts";
import type { ConsoleService, ConsoleServiceOptions } from "../../operator/console-service.ts";
import { Authority } from "../support/certificates.ts";
import { Namespace, useOperatorLab } from "../support/operator.ts";
import { startOperatorProcess } from "../support/operator-process.ts";
import type { OperatorProcess } from "../support/operator-process.ts";
import { until } from "../support/until.ts";
import { TestedBrowser } from "../support/web-console.ts";
import type { TestedSocket } from "../support/web-console.ts";

const lab = useOperatorLab();
const namespace = "office";
const pbx = `${namespace}/pbx1`;
let team: Namespace;

/** A service account, and what it may do at the console of pbx1. */
const person = (name: string, verbs: readonly string[]): string => `
apiVersion: v1
kind: ServiceAccount
metadata: { name: ${name}, namespace: ${namespace} }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: ${name}, namespace: ${namespace} }
rules:
  - { apiGroups: [asterisk-iac.dev], resources: [asteriskservers/console], verbs: [${verbs.join(", ")}] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: ${name}, namespace: ${namespace} }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: ${name} }
subjects: [{ kind: ServiceAccount, name: ${name}, namespace: ${namespace} }]
`;

beforeAll(async () => {
  team = await Namespace.create(lab, namespace, lab.manifestsOf(0, namespace));
  const binding = await readFile(new URL("../../deploy/console/rbac.yaml", import.meta.url), "utf8");
  await lab.kubernetes.apply([binding, person("viewer", ["view"]), person("nobody", ["get"])].join("---\n"));
});

/** Signs in as `kubectl create token NAME` lets somebody. */
async function signIn(service: Pick<ConsoleService, "port" | "url">, name: string): Promise<TestedBrowser> {
  const browser = new TestedBrowser(service);
  const asked = ["-n", namespace, "create", "token", name, "--audience", consoleAudience];
  const token = (await lab.kubernetes.kubectl(asked)).trim();
  const answer = await browser.call("POST", "/session", { token });
  if (answer.status !== 200) throw new Error(`signing in answered ${answer.status}: ${answer.text}`);
  browser.cookie = answer.headers["set-cookie"]?.[0]?.split(";")[0];
  return browser;
}

const offeredTo = async (browser: TestedBrowser): Promise<unknown> =>
  (JSON.parse((await browser.call("GET", "/session")).text) as { servers: unknown }).servers;

describe("the operator's console service", () => {
  let operator: OperatorProcess;
  let service: Pick<ConsoleService, "port" | "url">;
  const said = <T>(mark: string): T[] =>
    operator.log.filter((line) => line.includes(mark)).map((line) => JSON.parse(line) as T);

  beforeAll(async () => {
    operator = startOperatorProcess({
      ...{ kubeconfig: lab.account.kubeconfig, lease: "console", console: "127.0.0.1:0" },
    });
    await operator.says("serving the console");
    [service = { port: 0, url: "" }] = said<ConsoleService>("serving the console");
    await operator.says("caches synced");
  });
  afterAll(async () => {
    operator.kill("SIGTERM");
    await operator.ended;
  });

  test("lets a viewer look and nothing else, on the server that RBAC names", async () => {
    const browser = await signIn(service, "viewer");
    expect(await offeredTo(browser)).toEqual([{ name: pbx, role: "viewer" }]);
    const console = await browser.console(pbx);
    expect(await console.line("core show version")).toMatchObject({
      outcome: "Answered",
      text: expect.stringMatching(/^Asterisk 22/),
    });
    expect(await console.line("core restart now")).toMatchObject({ outcome: "Refused" });
    console.socket.close();
    await console.closed;
    await operator.says('"disconnect"');
    const who = `system:serviceaccount:${namespace}:viewer`;
    const about = { audit: "console", who, server: pbx, role: "viewer" };
    expect(said<AuditEntry>('"audit":"console"')).toMatchObject([
      { event: "sign-in", outcome: "Allowed", who },
      { ...about, event: "connect", outcome: "Allowed" },
      { ...about, event: "command", outcome: "Sent", line: "core show version" },
      { ...about, event: "command", outcome: "Answered", line: "core show version" },
      { ...about, event: "command", outcome: "Refused", line: "core restart now" },
      { ...about, event: "disconnect" },
    ]);
  });

  test("gives somebody without rights no server, and 403 for a ticket", async () => {
    const browser = await signIn(service, "nobody");
    expect(await offeredTo(browser)).toEqual([]);
    expect((await browser.call("POST", "/ticket", { server: pbx })).status).toBe(403);
    const refused = said<AuditEntry>('"Refused"').at(-1);
    expect(refused).toMatchObject({ event: "connect", server: pbx, who: expect.stringContaining("nobody") });
  });
});

describe("what is declared and mounted meanwhile", () => {
  let directory: string;
  const services: ConsoleService[] = [];
  const errors: AsteriskIacError[] = [];
  const start = async (more: Partial<ConsoleServiceOptions> = {}): Promise<ConsoleService> => {
    const service = await startConsoleService({
      ...{ api: lab.operatorAPI, servers: lab.cluster.caches.servers, host: "127.0.0.1", port: 0 },
      audit: { write: () => undefined },
      onError: (error) => errors.push(error),
      ...more,
    });
    services.push(service);
    return service;
  };
  beforeAll(async () => void (directory = await mkdtemp(join(tmpdir(), "asterisk-iac-console-"))));
  afterAll(async () => {
    await Promise.all(services.map((service) => service.close()));
    await rm(directory, { recursive: true, force: true });
  });

  test("a console that is switched off, or of a suspended server, ends at once and is offered no more", async () => {
    const browser = await signIn(await start(), "viewer");
    for (const [off, on] of [
      [{ console: { disabled: true } }, { console: null }],
      [{ suspend: true }, { suspend: null }],
    ]) {
      const console: TestedSocket = await browser.console(pbx);
      await team.patch("servers", "pbx1", { spec: off });
      expect(await console.closed).toBe(4005);
      expect(await offeredTo(browser)).toEqual([]);
      expect((await browser.call("POST", "/ticket", { server: pbx })).status).toBe(403);
      await team.patch("servers", "pbx1", { spec: on });
      expect(await offeredTo(browser)).toEqual([{ name: pbx, role: "viewer" }]);
    }
  });

  test("a renewed certificate is shown without a restart, and half a one changes nothing", async () => {
    const authority = await Authority.create(directory, "authority");
    const [certificateFile, keyFile] = [join(directory, "tls.crt"), join(directory, "tls.key")];
    const mount = async (): Promise<string> => {
      const { certificate, key } = await authority.sign("IP:127.0.0.1");
      await Promise.all([writeFile(certificateFile, certificate), writeFile(keyFile, key)]);
      return certificate;
    };
    await mount();
    const service = await start({ certificateFile, keyFile, renewalCheckMs: 20 });
    const shown = async (): Promise<string> => {
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      const socket = connect({ host: "127.0.0.1", port: service.port, rejectUnauthorized: false }, () =>
        resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? ""),
      );
      socket.on("error", reject);
      return promise.finally(() => socket.destroy());
    };
    expect(await shown()).toBe(service.fingerprint);
    await writeFile(certificateFile, "half");
    await until(() => errors.length > 0);
    expect(await shown()).toBe(service.fingerprint);
    await mount();
    await until(async () => (await shown()) !== service.fingerprint);
  });

  test.each([
    ["every address without its URL", { host: "0.0.0.0" }],
    ["a certificate without its key", { certificateFile: "/tls.crt" }],
  ])("%s is refused", async (_, options) => {
    const code = await start(options).catch((error: unknown) => hasErrorCode(error, "InvalidArgument"));
    expect(code).toBe(true);
  });
});
