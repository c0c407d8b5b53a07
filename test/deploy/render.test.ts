import { mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { parse } from "yaml";
import { kubernetesPrograms } from "../../lab/kubernetes/binaries.ts";
import { runCommand } from "../../lab/process.ts";
import { allValues } from "./all-values.ts";
import { helmDeadlineMs, helmProgram, manifestsOf, render } from "./helm/helm.ts";
import type { Manifest } from "./helm/helm.ts";

const root = join(import.meta.dirname, "../..");
const chart = join(root, "deploy/chart/asterisk-iac");

let helm: string;
let kustomized: Manifest[];

beforeAll(async () => {
  helm = await helmProgram();
  kustomized = await kustomize(join(root, "deploy"));
}, helmDeadlineMs);

async function kustomize(directory: string): Promise<Manifest[]> {
  const { kubectl } = await kubernetesPrograms(() => undefined);
  const run = await runCommand([kubectl, "kustomize", directory]);
  if (run.code !== 0) throw new Error(run.stderr);
  return manifestsOf(run.stdout);
}

/** By kind and name, without what only one of the two ways to install adds. */
function comparable(manifests: readonly Manifest[]): Record<string, unknown> {
  const entries = manifests
    .filter(({ kind }) => kind !== "Namespace")
    .map((manifest) => {
      const { name, namespace } = manifest.metadata;
      return [`${manifest.kind}/${name}`, { ...manifest, metadata: { name, namespace } }] as const;
    });
  return Object.fromEntries(entries);
}

function find<Found = Manifest>(manifests: readonly Manifest[], kind: string, name = ""): Found {
  const found = manifests.find((one) => one.kind === kind && one.metadata.name.endsWith(name));
  if (found === undefined) throw new Error(`there is no ${kind} ${name}`);
  return found as Found;
}

interface Deployment extends Manifest {
  readonly spec: {
    readonly replicas: number;
    readonly selector: { readonly matchLabels: Record<string, string> };
    readonly template: {
      readonly metadata: Manifest["metadata"];
      readonly spec: Record<string, unknown> & { readonly containers: readonly Record<string, unknown>[] };
    };
  };
}

interface Rules {
  readonly rules: readonly { apiGroups: string[]; resources: string[]; verbs: string[] }[];
}

test("the chart, as it comes, installs what the kustomize base does", async () => {
  const charted = manifestsOf(await render(helm));
  expect(Object.keys(comparable(charted))).toHaveLength(12);
  expect(comparable(charted)).toEqual(comparable(kustomized));
});

test("the chart's console is that of the kustomize component", async () => {
  const directory = await mkdtemp(join(tmpdir(), "asterisk-iac-overlay-"));
  try {
    const base = relative(await realpath(directory), join(root, "deploy"));
    const url = "https://pbx.example.com/console/";
    const operations = [
      { op: "add", path: "/spec/template/spec/containers/0/args/-", value: `--console-url=${url}` },
    ];
    const overlay = {
      resources: [base],
      components: [join(base, "console")],
      patches: [{ target: { kind: "Deployment" }, patch: JSON.stringify(operations) }],
    };
    await writeFile(join(directory, "kustomization.yaml"), JSON.stringify(overlay));
    const component = comparable(await kustomize(directory));
    const charted = await render(helm, { values: { console: { enabled: true, url } } });
    expect(component).toEqual(comparable(manifestsOf(charted)));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

test("versions are those of the package", async () => {
  const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { version: string };
  const { version: own, appVersion } = parse(await readFile(join(chart, "Chart.yaml"), "utf8")) as Record<
    string,
    string
  >;
  expect([own, appVersion]).toEqual([version, version]);
  const [container] = find<Deployment>(kustomized, "Deployment").spec.template.spec.containers;
  expect(container?.["image"]).toBe(`asterisk-iac:${version}`);
});

describe("the chart's values", () => {
  test("are all put where they belong", async () => {
    const manifests = manifestsOf(await render(helm, { release: "pbx", values: allValues }));
    const text = JSON.stringify(manifests);
    const { spec } = find<Deployment>(manifests, "Deployment");
    const [container] = spec.template.spec.containers;

    expect(spec.replicas).toBe(3);
    expect(spec.template.metadata.labels).toMatchObject({ team: "voice", ...spec.selector.matchLabels });
    expect(spec.template.metadata.annotations).toEqual({ "example.com/scrape": "true" });
    expect(spec.template.spec).toMatchObject({
      serviceAccountName: "pbx-operator",
      imagePullSecrets: [{ name: "registry" }],
      priorityClassName: "system-cluster-critical",
      terminationGracePeriodSeconds: 30,
      nodeSelector: { "kubernetes.io/os": "linux" },
      tolerations: [{ key: "voice", operator: "Exists" }],
      affinity: allValues.affinity,
      topologySpreadConstraints: allValues.topologySpreadConstraints,
    });
    expect(container).toMatchObject({
      image: allValues.image.repository + "@" + allValues.image.digest,
      imagePullPolicy: "Always",
      args: [
        "--git-cache=/var/cache/asterisk-iac",
        "--webhook-listen=0.0.0.0:9443",
        "--console-listen=0.0.0.0:48443",
        "--console-url=https://pbx.example.com/console/",
        "--console-tls-cert=/etc/asterisk-iac/console-tls/tls.crt",
        "--console-tls-key=/etc/asterisk-iac/console-tls/tls.key",
        "--namespace=default",
        "--concurrency=32",
      ],
      resources: allValues.resources,
      env: allValues.extraEnv,
    });
    expect(JSON.stringify(spec.template.spec["volumes"])).toContain('"sizeLimit":"512Mi"');
    expect(spec.template.spec["volumes"]).toContainEqual({
      name: "console-tls",
      secret: { secretName: "console-tls" },
    });
    expect(find(manifests, "Service", "console")).toMatchObject({
      metadata: { annotations: allValues.console.service.annotations },
      spec: { sessionAffinity: "ClientIP", ports: [{ port: 48443, targetPort: "console" }] },
    });
    expect(find(manifests, "ServiceAccount").metadata).toMatchObject({
      name: "pbx-operator",
      annotations: { "example.com/role": "voice" },
    });
    expect(manifests.filter(({ kind }) => kind === "ClusterRoleBinding")).toMatchObject([
      {
        metadata: { name: "voice-operator-console" },
        roleRef: { kind: "ClusterRole", name: "system:auth-delegator" },
        subjects: [{ name: "pbx-operator", namespace: "asterisk-iac-system" }],
      },
    ]);
    expect(find(manifests, "RoleBinding", "voice-operator")).toMatchObject({
      metadata: { namespace: "default" },
      roleRef: { kind: "ClusterRole", name: find(manifests, "ClusterRole").metadata.name },
      subjects: [{ name: "pbx-operator", namespace: "asterisk-iac-system" }],
    });
    expect(find(manifests, "Service", "webhook")).toMatchObject({
      metadata: { annotations: allValues.webhook.service.annotations },
      spec: { ports: [{ port: 9443, targetPort: "webhook" }] },
    });
    expect(find<Rules>(manifests, "Role", "leader-election").rules).toEqual([
      { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["get", "create", "update"] },
      { apiGroups: [""], resources: ["secrets"], verbs: ["get", "create", "update"] },
    ]);
    expect(find(manifests, "Service", "metrics").metadata.annotations).toEqual({
      "example.com/metrics": "true",
    });
    expect(find(manifests, "PodDisruptionBudget")["spec"]).toMatchObject({ minAvailable: "50%" });
    expect(find(manifests, "NetworkPolicy")["spec"]).toMatchObject({
      ingress: [
        { from: allValues.networkPolicy.metricsFrom },
        { from: allValues.webhook.from, ports: [{ port: 9443 }] },
        { from: allValues.console.from, ports: [{ port: 48443 }] },
      ],
      egress: [
        {},
        { ports: [{ port: 8443 }] },
        { ports: [{ port: 2222 }] },
        { ports: [{ port: 15038 }] },
        { ports: [{ port: 9418 }] },
      ],
    });
    expect(manifests.filter(({ kind }) => kind === "CustomResourceDefinition")).toHaveLength(3);
    expect(text).not.toContain("resource-policy");
  });

  test("what is turned off is not installed", async () => {
    const values = {
      crds: { install: false },
      serviceAccount: { create: false },
      rbac: { create: false },
      podDisruptionBudget: { enabled: false },
      networkPolicy: { enabled: false },
    };
    const manifests = manifestsOf(await render(helm, { values }));
    expect(manifests.map(({ kind }) => kind).sort()).toEqual(["Deployment", "Service"]);
    expect(find<Deployment>(manifests, "Deployment").spec.template.spec["serviceAccountName"]).toBe(
      "default",
    );
  });

  test("the definitions stay when the chart is uninstalled", async () => {
    const definitions = manifestsOf(await render(helm)).filter(({ kind }) => kind.startsWith("Custom"));
    expect(definitions.map(({ metadata }) => metadata.annotations)).toEqual(
      Array.from({ length: 3 }, () => ({ "helm.sh/resource-policy": "keep" })),
    );
  });

  test.each([
    ["a value that is not known", { imge: {} }, /imge/],
    ["a value deeper down that is not known", { crds: { instal: false } }, /instal/],
    ["a text for a number", { replicas: "two" }, /replicas/],
    ["a port that is none", { networkPolicy: { sshPorts: [0] } }, /sshPorts/],
    ["a console without its address", { console: { enabled: true } }, /console\.url/],
    ["an address of the console without TLS", { console: { url: "http://pbx.example.com/" } }, /url/],
    ["a digest that is none", { image: { digest: "latest" } }, /digest/],
  ])("%s is refused", async (_, values, message) => {
    await expect(render(helm, { values })).rejects.toThrow(message);
  });

  test("long names of releases make names that Kubernetes takes", async () => {
    const manifests = manifestsOf(await render(helm, { release: "a".repeat(53) }));
    for (const { metadata } of manifests) expect(metadata.name.length).toBeLessThanOrEqual(63);
  });
});

describe("what the operator may do", () => {
  const rules = () =>
    kustomized
      .filter(({ kind }) => kind === "ClusterRole" || kind === "Role")
      .flatMap((role) => (role as unknown as Rules).rules);

  test("it deletes nothing, and no rule has a wildcard", () => {
    const all = rules().flatMap(({ apiGroups, resources, verbs }) => [...apiGroups, ...resources, ...verbs]);
    expect(all).toContain("secrets");
    expect(all.filter((one) => one.includes("*") || one.startsWith("delete"))).toEqual([]);
  });

  test("leases only in its own namespace", () => {
    const clusterRole = find(kustomized, "ClusterRole");
    expect(JSON.stringify(clusterRole)).not.toContain("leases");
    expect(find(kustomized, "Role").metadata.namespace).toBe("asterisk-iac-system");
  });
});
