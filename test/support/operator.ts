import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "@jest/globals";
import { KubeConfig } from "@kubernetes/client-node";
import { parseAllDocuments } from "yaml";
import { GitSources } from "../../engine/git-source.ts";
import { kubernetesDown, kubernetesUp, type LabKubernetes } from "../../lab/kubernetes.ts";
import { labDown, labUp } from "../../lab/lab.ts";
import { clusterOf, type Cluster } from "../../operator/cluster.ts";
import type { AccountObject, FileObject, ServerObject, StatusCondition } from "../../operator/objects.ts";
import { Operator, type OperatorOptions } from "../../operator/operator.ts";
import {
  APIServer,
  EventRecorder,
  Metrics,
  ResourceClient,
  keyOf,
  type Informer,
  type KubernetesAPI,
  type KubernetesObject,
} from "../../operator/runtime/index.ts";
import { kubernetesOf, type Kubernetes } from "./kubernetes.ts";
import type { Lab, UseLabOptions } from "./lab.ts";
import { installAccount, operatorRequests, type OperatorAccount } from "./operator-account.ts";

/** An object as a test writes it. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly stringData?: Readonly<Record<string, string>>;
}

/** Real Asterisk servers and a real API server that knows our kinds, with what the tests see of it. */
export interface OperatorLab extends Lab {
  readonly kubernetes: Kubernetes;
  /** The administrator's. */
  readonly api: KubernetesAPI;
  /** The operator's own: of the service account that is installed with it. */
  readonly operatorAPI: KubernetesAPI;
  readonly account: OperatorAccount;
  /** What the tests themselves follow, apart from any operator's caches. */
  readonly cluster: Cluster;
  /** The Secrets and the AsteriskServer of one of the lab's servers, for a namespace. */
  manifestsOf(index: number, namespace: string, spec?: Readonly<Record<string, unknown>>): Manifest[];
}

/** The first API server of a machine is built. */
const upDeadlineMs = 45 * 60_000;

/** Real servers and a real API server for the tests of one file: up before the first, gone after the last. */
export function useOperatorLab(options: UseLabOptions = {}): OperatorLab {
  let up: LabKubernetes | undefined;
  let api: KubernetesAPI | undefined;
  let account: OperatorAccount | undefined;
  let operatorAPI: KubernetesAPI | undefined;
  let cluster: Cluster | undefined;
  let resources: Manifest[] = [];
  const get = <T>(value: T | undefined): T => {
    if (value === undefined) throw new Error("the lab is not up before beforeAll");
    return value;
  };
  const kubernetes = kubernetesOf(() => get(up));
  const lab: OperatorLab = {
    ...{ directory: "", servers: [], kubernetes },
    get api() {
      return get(api);
    },
    get operatorAPI() {
      return get(operatorAPI);
    },
    get account() {
      return get(account);
    },
    get cluster() {
      return get(cluster);
    },
    manifestsOf: (index, namespace, spec) => {
      const name = lab.servers[index]?.name;
      return resources
        .filter(({ metadata }) => [name, `${name}-ssh`, `${name}-ami`].includes(metadata.name))
        .map((manifest) => ({
          ...manifest,
          metadata: { name: manifest.metadata.name, namespace },
          ...(manifest.kind === "AsteriskServer" ? { spec: { ...manifest.spec, ...spec } } : {}),
        }));
    },
  };
  beforeAll(async () => {
    const directory = await mkdtemp(join(tmpdir(), "asterisk-iac-operator-"));
    lab.directory = directory;
    const { servers } = await labUp({ ...options, directory, tiedToParent: true });
    lab.servers.push(...servers);
    up = await kubernetesUp({ directory, tiedToParent: true });
    await kubernetes.kubectl([
      "apply",
      "--server-side",
      "-f",
      new URL("../../crds", import.meta.url).pathname,
    ]);
    await kubernetes.kubectl(["wait", "--for=condition=Established", "crd", "--all"]);
    resources = parseAllDocuments(await readFile(join(up.directory, "resources.yaml"), "utf8")).map(
      (document) => document.toJS() as Manifest,
    );
    api = apiOf(kubernetes.kubeconfig);
    account = await installAccount(kubernetes);
    operatorAPI = apiOf(account.kubeconfig);
    cluster = clusterOf(api, undefined, () => undefined);
    for (const cache of Object.values(cluster.caches)) cache.start();
    await Promise.all(Object.values(cluster.caches).map((cache) => cache.synced()));
  }, upDeadlineMs);
  afterAll(async () => {
    await Promise.all([...running].map((operator) => operator.stop()));
    await Promise.all(Object.values(cluster?.caches ?? {}).map((cache) => cache.stop()));
    const { forbidden } = account === undefined ? { forbidden: [] } : await operatorRequests(kubernetes);
    await kubernetesDown({ directory: lab.directory });
    await labDown({ directory: lab.directory });
    await rm(lab.directory, { recursive: true, force: true });
    if (forbidden.length > 0)
      throw new Error(`the operator lacks the rights ${forbidden.join(", ")}: see deploy/rbac.yaml`);
  }, upDeadlineMs);
  return lab;
}

/** A client of the API server that a kubeconfig names. */
export function apiOf(kubeconfig: string): APIServer {
  const configuration = new KubeConfig();
  configuration.loadFromFile(kubeconfig);
  return new APIServer(configuration);
}

/** The operator in this process, leading without an election. */
export interface RunningOperator {
  readonly errors: readonly string[];
  /** Reconciles of AsteriskServers that ended so far. */
  readonly passes: number;
  /** Ends its work and its caches. */
  stop(): Promise<void>;
}

/** What stands between the operator under test and the world. */
export type OperatorSettings = Partial<
  Pick<OperatorOptions, "openSession" | "deletionTimeoutMs" | "leader" | "importPartBytes" | "repositories">
> & { readonly namespace?: string };

/** Those that a test which failed left running. */
const running = new Set<RunningOperator>();

/** Starts the operator in this process over an API that a test may stand in front of. */
export async function startOperator(
  api: KubernetesAPI,
  { namespace, ...settings }: OperatorSettings = {},
): Promise<RunningOperator> {
  const errors: string[] = [];
  const tell = ({ message }: { readonly message: string }): void => void errors.push(message);
  const cluster = clusterOf(api, namespace, tell);
  const caches = Object.values(cluster.caches);
  for (const cache of caches) cache.start();
  await Promise.all(caches.map((cache) => cache.synced()));
  const events = new EventRecorder({ api, rateLimit: { perSecond: 100, burst: 1_000 }, onError: tell });
  const metrics = new Metrics();
  let passes = 0;
  const { reconciled } = metrics;
  const counted: Metrics["reconciled"] = (controller, ...rest) => {
    if (controller === "AsteriskServer") passes += 1;
    reconciled(controller, ...rest);
  };
  Object.defineProperty(metrics, "reconciled", { value: counted });
  const operator = new Operator({
    ...{ cluster, events, metrics, leader: { isLeading: true } },
    repositories: new GitSources({ cacheDirectory: join(tmpdir(), "asterisk-iac-git-test") }),
    onError: (controller, key, error) =>
      errors.push(`${controller} ${keyOf(key)}: ${error.code} ${error.message}`),
    ...settings,
  });
  operator.start();
  const started: RunningOperator = {
    errors,
    get passes() {
      return passes;
    },
    stop: async () => {
      running.delete(started);
      await operator.stop();
      await events.flush();
      await Promise.all(caches.map((cache) => cache.stop()));
    },
  };
  running.add(started);
  return started;
}

/** Objects of one namespace, as a user writes them and sees them. */
export class Namespace {
  readonly name: string;
  readonly #lab: OperatorLab;

  constructor(lab: OperatorLab, name: string) {
    this.#lab = lab;
    this.name = name;
  }

  /** Makes the namespace, and in it what is given. */
  static async create(
    lab: OperatorLab,
    name: string,
    manifests: readonly Manifest[] = [],
  ): Promise<Namespace> {
    const body = { apiVersion: "v1", kind: "Namespace", metadata: { name } };
    await lab.api.request({ method: "POST", path: "/api/v1/namespaces", body });
    const namespace = new Namespace(lab, name);
    for (const manifest of manifests) await namespace.create(manifest);
    return namespace;
  }

  async create(manifest: Omit<Manifest, "metadata"> & { metadata: { name: string } }): Promise<void> {
    const plural = `${manifest.kind.toLowerCase()}s`;
    const kind = { apiVersion: manifest.apiVersion, kind: manifest.kind, plural };
    const metadata = { ...manifest.metadata, namespace: this.name };
    await new ResourceClient(this.#lab.api, kind).create({ ...manifest, metadata } as KubernetesObject);
  }

  createFile(name: string, spec: Readonly<Record<string, unknown>>, server = "pbx1"): Promise<void> {
    return this.create(part("ConfFile", name, { serverRef: { name: server }, ...spec }));
  }

  createAccount(name: string, spec: Readonly<Record<string, unknown>> = {}, server = "pbx1"): Promise<void> {
    const secret = "secretRef" in spec ? {} : { generate: true };
    return this.create(
      part("AMIAccount", name, {
        ...{ serverRef: { name: server }, username: name, permit: ["127.0.0.1"], ...secret, ...spec },
      }),
    );
  }

  async createSecret(name: string, stringData: Readonly<Record<string, string>>): Promise<void> {
    await this.create({ apiVersion: "v1", kind: "Secret", metadata: { name }, stringData });
  }

  /** Merges into the object of a kind; the answer is how it is stored. */
  async patch(kind: Kind, name: string, change: object): Promise<KubernetesObject> {
    const answer = await this.#lab.cluster[kind].merge({ namespace: this.name, name }, change);
    (this.#lab.cluster.caches[kind] as unknown as Informer<KubernetesObject>).wrote(answer);
    return answer;
  }

  annotate(kind: "servers" | "accounts" | "files", name: string, annotations: Record<string, string>) {
    return this.patch(kind, name, { metadata: { annotations } });
  }

  async delete(kind: Kind, name: string): Promise<void> {
    await this.#lab.cluster[kind].delete(this.name, name);
  }

  /** Resolves once an object is as asked for; rejects with what it is after a while. */
  async sees<K extends keyof Kinds>(
    kind: K,
    name: string,
    isAsAsked: (object: Kinds[K]) => boolean,
    deadlineMs = 60_000,
  ): Promise<Kinds[K]> {
    const cache = this.#lab.cluster.caches[kind] as unknown as Informer<Kinds[K]>;
    const key = keyOf({ namespace: this.name, name });
    const { promise, resolve, reject } = Promise.withResolvers<Kinds[K]>();
    const look = (object: Kinds[K] | undefined): void => {
      if (object !== undefined && keyOf(object.metadata) === key && isAsAsked(object)) resolve(object);
    };
    cache.on({ added: look, changed: look });
    const timer = setTimeout(() => {
      const status = (cache.get(key) as { status?: unknown } | undefined)?.status;
      reject(
        new Error(
          `${kind} ${key} never came to be ${isAsAsked.toString()}: ${JSON.stringify(status, null, 1)}`,
        ),
      );
    }, deadlineMs);
    return promise.finally(() => clearTimeout(timer));
  }

  /** Resolves once what is declared now is done. */
  isReady<K extends keyof Kinds>(kind: K, name: string, deadlineMs?: number): Promise<Kinds[K]> {
    const { generation = 1 } = this.#object(kind, name)?.metadata ?? {};
    return this.sees(
      kind,
      name,
      (object) =>
        (object.metadata.generation ?? 0) >= generation &&
        object.status?.observedGeneration === object.metadata.generation &&
        conditionOf(object, "Ready")?.status === "True",
      deadlineMs,
    );
  }

  /** Resolves once the object is gone. */
  async isGone(kind: keyof Kinds, name: string, deadlineMs = 60_000): Promise<void> {
    const key = keyOf({ namespace: this.name, name });
    await waitUntil(
      () => !this.#lab.cluster.caches[kind].list().some(({ metadata }) => keyOf(metadata) === key),
      deadlineMs,
    );
  }

  #object(kind: keyof Kinds, name: string): KubernetesObject | undefined {
    return this.#lab.cluster.caches[kind].get(keyOf({ namespace: this.name, name }));
  }

  /** What was said about objects: `Reason: message`, sorted; each as often as it was said, if it is asked for by reason. */
  async events(name: string, reasons?: RegExp): Promise<string[]> {
    const path = `/api/v1/namespaces/${this.name}/events`;
    const list = (await this.#lab.api.request({ method: "GET", path })) as {
      items: { involvedObject: { name: string }; reason: string; message: string; count: number }[];
    };
    return list.items
      .filter(({ involvedObject, reason }) => involvedObject.name === name && (reasons?.test(reason) ?? true))
      .flatMap(({ reason, message, count }) =>
        Array.from({ length: reasons === undefined ? 1 : count }, () => `${reason}: ${message}`),
      )
      .sort();
  }
}

interface Kinds {
  servers: ServerObject;
  accounts: AccountObject;
  files: FileObject;
}

type Kind = keyof Kinds | "secrets" | "configMaps";

function part(kind: string, name: string, spec: Readonly<Record<string, unknown>>) {
  return { apiVersion: "asterisk-iac.dev/v1alpha1", kind, metadata: { name }, spec };
}

export function conditionOf(
  { status }: { readonly status?: { readonly conditions?: readonly StatusCondition[] | undefined } },
  type: string,
): StatusCondition | undefined {
  return status?.conditions?.find((condition) => condition.type === type);
}

/** Of an object, why it is not ready, or `True` if it is. */
export function readyOf(object: Kinds[keyof Kinds]): string {
  const ready = conditionOf(object, "Ready");
  return ready?.status === "True" ? "True" : (ready?.reason ?? "no condition");
}

/** Resolves when the condition holds, looked at 20 times a second. */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  deadlineMs = 60_000,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`it never came to be: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
