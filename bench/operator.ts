/**
 * The operator, in a process of its own as it runs in a cluster, on a real API server with many AsteriskServers: some are
 * real Asterisk, the rest are machines that answer over real SSH and AMI connections what one of those answers
 * (test/support/fake-pbx.ts). How long until all are Ready, its memory, its requests; and a pass over all of them where
 * nothing changed. Beside it, in the same run, what a shell does for the first import of the real ones.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { KubeConfig } from "@kubernetes/client-node";
import { parseAllDocuments } from "yaml";
import { openSSH } from "../asterisk/ssh/ssh-host.ts";
import { runFleet } from "../engine/fleet.ts";
import type { LabKubernetes } from "../lab/kubernetes.ts";
import { kubernetesDown, kubernetesUp } from "../lab/kubernetes.ts";
import { labDown, labUp, type LabServer } from "../lab/lab.ts";
import { reservePort } from "../lab/ports.ts";
import { runCommand } from "../lab/process.ts";
import type { ServerObject } from "../operator/objects.ts";
import { APIServer, Informer, ResourceClient, keyOf, kinds } from "../operator/runtime/index.ts";
import type { KubernetesObject } from "../operator/runtime/index.ts";
import { FakeAMI } from "../test/support/fake-ami.ts";
import { FakePBXes } from "../test/support/fake-pbx.ts";
import { benchOperatorPeer } from "./operator-peer.ts";
import { progress } from "./servers.ts";

/** Requests to the API server, by verb and resource: `get secrets`. Lease renewals are left out. */
export type Requests = ReadonlyMap<string, number>;

export interface OperatorFigures {
  readonly servers: number;
  readonly real: number;
  /** Seconds from the start of the operator's process. */
  readonly ready: number;
  /** MiB of the process: when all were ready, after the pass where nothing changed, and the most it ever was. */
  readonly memory: { readonly ready: number; readonly afterwards: number; readonly most: number };
  readonly requests: Requests;
  /** Reconciles of AsteriskServers until all were ready. */
  readonly passes: number;
  readonly unchanged: { readonly seconds: number; readonly requests: Requests };
  /** Seconds of processor time of the operator until all were ready, and for the pass where nothing changed. */
  readonly processor: { readonly ready: number; readonly unchanged: number };
  /** The load of the machine at the begin of the measurement and at its end. */
  readonly load: readonly [number, number];
  /** Seconds that a shell takes for the first import of a server. */
  readonly peer: number;
}

const writes = /^(create|update|patch|delete) /;

/** How many of them would have changed something. */
export function writesOf(requests: Requests): number {
  return [...requests].filter(([what]) => writes.test(what)).reduce((sum, [, count]) => sum + count, 0);
}

/** @param real how many of the servers are real Asterisk, at least one */
export async function benchOperator(servers = 1_000, real = 50): Promise<OperatorFigures> {
  const directory = await mkdtemp(join(tmpdir(), "asterisk-iac-bench-"));
  const program = await build();
  try {
    const lab = await labUp({ directory, count: real, tiedToParent: true, onProgress: progress });
    const kubernetes = await kubernetesUp({ directory, tiedToParent: true, onProgress: progress });
    const figures = await withFakes(lab.servers, (fakes) =>
      measure({ servers, real: lab.servers, kubernetes, fakes, program }),
    );
    progress("the same import by a shell");
    return { ...figures, peer: await benchOperatorPeer(lab.servers, kubernetes) };
  } finally {
    await kubernetesDown({ directory });
    await labDown({ directory });
    await rm(directory, { recursive: true, force: true });
  }
}

/** The operator as the image has it: without types to take off at its start. */
async function build(): Promise<string> {
  const root = new URL("..", import.meta.url).pathname;
  const directory = join(root, "node_modules", ".cache", "asterisk-iac-bench");
  progress("building the operator");
  const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
  await runCommand([
    process.execPath,
    ...[compiler, "-p", join(root, "tsconfig.build.json"), "--outDir", directory, "--declaration", "false"],
  ]);
  await writeFile(join(directory, "package.json"), '{ "type": "module" }\n');
  return join(directory, "operator", "main.js");
}

async function withFakes<T>(
  [model]: readonly LabServer[],
  work: (fakes: FakePBXes) => Promise<T>,
): Promise<T> {
  if (model === undefined) throw new Error("at least one server must be real");
  const host = await openSSH({
    label: model.name,
    host: model.host,
    port: model.sshPort,
    user: model.users.owner,
    credentials: { privateKey: await readFile(model.privateKeyFile) },
    knownHosts: model.knownHosts,
    hostKeyPolicy: "Pinned",
  });
  const fakes = new FakePBXes(host);
  try {
    await fakes.listen();
    return await work(fakes);
  } finally {
    await fakes.close();
    await host.close();
  }
}

interface Parts {
  readonly servers: number;
  readonly real: readonly LabServer[];
  readonly kubernetes: LabKubernetes;
  readonly fakes: FakePBXes;
  /** The operator's. */
  readonly program: string;
}

async function measure({
  servers,
  real,
  kubernetes,
  fakes,
  program,
}: Parts): Promise<Omit<OperatorFigures, "peer">> {
  const { kubeconfig, kubectl } = kubernetes;
  const crds = new URL("../crds", import.meta.url).pathname;
  for (const words of [
    ["apply", "--server-side", "-f", crds],
    ["wait", "--for=condition=Established", "crd", "--all"],
  ])
    await runCommand([kubectl, "--kubeconfig", kubeconfig, ...words]);
  const configuration = new KubeConfig();
  configuration.loadFromFile(kubeconfig);
  const api = new APIServer(configuration);
  const manifests = await declare(join(kubernetes.directory, "resources.yaml"), servers, fakes);
  progress(`declaring ${servers} servers`);
  const created = await runFleet(
    manifests.map((manifest) => ({ name: manifest.metadata.name, manifest })),
    async ({ manifest }) => {
      const kind = manifest.kind === "Secret" ? kinds.secret : kinds.asteriskServer;
      await new ResourceClient(api, kind).create(manifest);
    },
  );
  for (const result of created) if (!result.ok) throw result.error;

  const watched = new Informer({ client: new ResourceClient<ServerObject>(api, kinds.asteriskServer) });
  const ready = countReady(watched, servers);
  watched.start();
  await watched.synced();
  const { port: metricsPort, release } = await reservePort();
  await release();
  const load = loadavg()[0] ?? NaN;
  const started = performance.now();
  progress("starting the operator");
  const operator = await start(program, kubeconfig, metricsPort);
  try {
    await Promise.race([ready, ended(operator)]);
    const seconds = (performance.now() - started) / 1_000;
    const first = await quiet(metricsPort);
    const memoryReady = await memoryOf(operator, "VmRSS");

    const since = performance.now();
    fakes.ami.send("Event: Reload\r\nPrivilege: system,all\r\nModule: res_rtp_asterisk\r\nStatus: 0\r\n\r\n");
    await Promise.all(real.map((one) => one.run(["asterisk", "-rx", "module reload res_rtp_asterisk"])));
    const second = await until(metricsPort, ({ passes }) => passes >= first.passes + servers);
    const unchanged = (performance.now() - since) / 1_000;
    const settled = await quiet(metricsPort);
    if (fakes.refused.length > 0) throw new Error(`not answered by a fake: ${fakes.refused[0]}`);
    return {
      servers,
      real: real.length,
      ready: seconds,
      memory: {
        ready: memoryReady,
        afterwards: await memoryOf(operator, "VmRSS"),
        most: await memoryOf(operator, "VmHWM"),
      },
      requests: first.requests,
      passes: first.passes,
      unchanged: { seconds: unchanged, requests: difference(settled.requests, first.requests) },
      processor: { ready: first.processor, unchanged: second.processor - first.processor },
      load: [load, loadavg()[0] ?? NaN],
    };
  } finally {
    operator.kill("SIGTERM");
    await ended(operator).catch(() => undefined);
    await watched.stop();
  }
}

/** The lab's own objects, and as many more like those of its first server as are missing. */
async function declare(
  file: string,
  servers: number,
  fakes: FakePBXes,
): Promise<(KubernetesObject & { readonly spec?: object })[]> {
  const own = parseAllDocuments(await readFile(file, "utf8")).map(
    (document) =>
      document.toJS() as KubernetesObject & { spec: { ssh: object }; stringData: Record<string, string> },
  );
  const find = (name: string, kind: string) => {
    const found = own.find((one) => one.metadata.name === name && one.kind === kind);
    if (found === undefined) throw new Error(`the lab has no ${kind} ${name}`);
    return found;
  };
  const [server, ssh, ami] = [
    find("pbx1", "AsteriskServer"),
    find("pbx1-ssh", "Secret"),
    find("pbx1-ami", "Secret"),
  ];
  const count = own.filter(({ kind }) => kind === "AsteriskServer").length;
  const more = Array.from({ length: servers - count }, (_, at) => {
    const name = `pbx${count + at + 1}`;
    const named = (suffix: string) => ({ name: `${name}${suffix}`, namespace: "default" });
    return [
      { ...ssh, metadata: named("-ssh"), stringData: { ...ssh.stringData, known_hosts: fakes.knownHosts } },
      {
        ...ami,
        metadata: named("-ami"),
        stringData: { username: FakeAMI.username, password: FakeAMI.password },
      },
      {
        ...server,
        metadata: named(""),
        spec: {
          ...server.spec,
          ssh: {
            host: "127.0.0.1",
            port: fakes.port,
            user: name,
            credentialsSecretRef: { name: `${name}-ssh` },
          },
          ami: { credentialsSecretRef: { name: `${name}-ami` } },
        },
      },
    ];
  });
  return [...own, ...more.flat()];
}

/** Resolves once so many servers are Ready. */
function countReady(watched: Informer<ServerObject>, servers: number): Promise<undefined> {
  const ready = new Set<string>();
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const look = ({ metadata, status }: ServerObject): void => {
    if (status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") !== true)
      return;
    if (ready.has(keyOf(metadata))) return;
    ready.add(keyOf(metadata));
    if (ready.size % 100 === 0) progress(`${ready.size} are Ready`);
    if (ready.size === servers) resolve(undefined);
  };
  watched.on({ added: look, changed: look });
  return promise;
}

/** As deploy/ has it: Node gives itself half of a container's memory, here 512 MiB. */
async function start(program: string, kubeconfig: string, metricsPort: number): Promise<ChildProcess> {
  const ports = ["--metrics-port", String(metricsPort), "--health-port", "0"];
  return spawn(
    process.execPath,
    ["--max-old-space-size=256", program, "--kubeconfig", kubeconfig, ...ports],
    { stdio: ["ignore", "ignore", "inherit"], env: { ...process.env, ...(await imageEnvironment()) } },
  );
}

async function imageEnvironment(): Promise<Record<string, string>> {
  const dockerfile = await readFile(new URL("../Dockerfile", import.meta.url), "utf8");
  const pairs = [...dockerfile.matchAll(/^ENV (.*)$/gm)].flatMap(([, line = ""]) => line.split(" "));
  return Object.fromEntries(pairs.map((pair) => pair.split(/=(.*)/s).slice(0, 2) as [string, string]));
}

function ended(operator: ChildProcess): Promise<never> {
  return new Promise((_, reject) => {
    if (operator.exitCode !== null) reject(new Error(`the operator ended with ${operator.exitCode}`));
    operator.once("exit", (code, signal) => reject(new Error(`the operator ended: ${code ?? signal}`)));
  });
}

interface Reading {
  readonly requests: Requests;
  readonly passes: number;
  /** Seconds. */
  readonly processor: number;
}

/** What the operator says of itself. */
async function read(port: number): Promise<Reading> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const requests = new Map<string, number>();
  for (const [, verb = "", resource = "", count] of text.matchAll(
    /^asterisk_iac_api_requests_total\{verb="(\w+)",resource="([^"]+)"\} (\d+)$/gm,
  ))
    if (resource !== "leases") requests.set(`${verb} ${resource}`, Number(count));
  let passes = 0;
  for (const [, count] of text.matchAll(
    /^asterisk_iac_reconciles_total\{controller="AsteriskServer",[^}]*\} (\d+)$/gm,
  ))
    passes += Number(count);
  const processor = Number(/^process_cpu_seconds_total (\S+)$/m.exec(text)?.[1]);
  return { requests, passes, processor };
}

async function until(port: number, isMet: (reading: Reading) => boolean): Promise<Reading> {
  for (;;) {
    const reading = await read(port);
    if (isMet(reading)) return reading;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** The first reading of two in a row, two seconds apart, between which nothing was asked of the API server. */
async function quiet(port: number): Promise<Reading> {
  for (let before = await read(port); ;) {
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const now = await read(port);
    if (now.passes === before.passes && difference(now.requests, before.requests).size === 0) return now;
    before = now;
  }
}

function difference(after: Requests, before: Requests): Requests {
  const all = [...after].map(([what, count]): [string, number] => [what, count - (before.get(what) ?? 0)]);
  // A watch is renewed every few minutes, whatever happens.
  return new Map(all.filter(([what, count]) => count > 0 && !what.startsWith("watch ")));
}

/** MiB. */
async function memoryOf({ pid }: ChildProcess, field: "VmRSS" | "VmHWM"): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) / 1_024;
}

/** The figures, a line each. */
export function table(figures: OperatorFigures): string {
  const { servers, real, ready, memory, requests, passes, unchanged, processor, load, peer } = figures;
  const listed = (each: Requests): string =>
    [...each].map(([what, count]) => `${count} ${what}`).join(", ") || "none";
  const rows = [
    ["servers", `${servers}, ${real} of them real Asterisk`],
    ["load of the machine", `${load[0].toFixed(1)} before, ${load[1].toFixed(1)} after`],
    [
      "all Ready after",
      `${ready.toFixed(1)} s (${processor.ready.toFixed(1)} s of processor time, ${passes} passes)`,
    ],
    [
      "a server, beside ssh, tar and kubectl",
      `${(ready / servers).toFixed(3)} s and ${peer.toFixed(3)} s: ${(ready / servers / peer).toFixed(2)} times as long`,
    ],
    ["memory, all Ready", `${memory.ready.toFixed(0)} MiB`],
    [
      "memory, after a pass without changes",
      `${memory.afterwards.toFixed(0)} MiB, at most ${memory.most.toFixed(0)} MiB`,
    ],
    ["API requests until all Ready", listed(requests)],
    [
      "a pass over all without changes",
      `${unchanged.seconds.toFixed(1)} s (${processor.unchanged.toFixed(1)} s)`,
    ],
    ["API requests of it", listed(unchanged.requests)],
    ["writes of it", String(writesOf(unchanged.requests))],
  ];
  return rows.map(([what = "", figure = ""]) => `${what.padEnd(38)}${figure}`).join("\n");
}

if (import.meta.main) {
  const [servers = 1_000, real = 50] = process.argv.slice(2).map(Number);
  console.log(table(await benchOperator(servers, real)));
}
