import { readFile } from "node:fs/promises";
import { parseAllDocuments } from "yaml";
import { controlPlanePaths } from "../../lab/kubernetes/control-plane.ts";
import type { Kubernetes } from "./kubernetes.ts";
import { until } from "./until.ts";

const deploy = new URL("../../deploy", import.meta.url).pathname;

/** Where the kustomize base and the chart install the operator, and where its Lease is. */
export const operatorNamespace = "asterisk-iac-system";
const baseAccount = "asterisk-iac";
const userOf = (account: string): string => `system:serviceaccount:${operatorNamespace}:${account}`;

/** The service account that the kustomize base installs; test/deploy/render.test.ts shows that it is the chart's too. */
export interface OperatorAccount {
  /** The file of its kubeconfig. */
  readonly kubeconfig: string;
  /** All that its roles let it do: `patch conffiles.asterisk-iac.dev/status`, each of them once, sorted. */
  readonly rights: readonly string[];
}

interface Installed {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly rules?: readonly { apiGroups: string[]; resources: string[]; verbs: string[] }[];
}

/** What to install instead of the kustomize base's. */
export interface InstallAccountOptions {
  /** YAML that has the service account and its roles, as the chart renders it. */
  readonly manifests: string;
  /** The namespace in which it has its rights. */
  readonly watched: string;
}

/** Installs the operator's service account with its roles, and nothing else of the operator. */
export async function installAccount(
  kubernetes: Kubernetes,
  options?: InstallAccountOptions,
): Promise<OperatorAccount> {
  const installed = parseAllDocuments(options?.manifests ?? (await kubernetes.kubectl(["kustomize", deploy])))
    .map((document) => document.toJS() as Installed)
    .filter(({ kind }) => /^(Namespace|ServiceAccount|(Cluster)?Role(Binding)?)$/.test(kind));
  for (const object of installed) await kubernetes.apply(JSON.stringify(object));
  const name = installed.find(({ kind }) => kind === "ServiceAccount")?.metadata.name ?? baseAccount;
  // The API server learns of new roles a moment after it stored them.
  for (const [right, where] of [
    ["list secrets", options?.watched ?? operatorNamespace],
    ["get leases.coordination.k8s.io", operatorNamespace],
  ] as const)
    await until(async () => {
      const asked = ["auth", "can-i", ...right.split(" "), "-n", where, "--as", userOf(name)];
      return kubernetes.kubectl(asked).then(
        () => true,
        () => false,
      );
    });
  const rules = installed.flatMap((role) => role.rules ?? []);
  const rights = rules.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) => verbs.map((verb) => rightOf(verb, group, ...resource.split("/")))),
    ),
  );
  return {
    kubeconfig: await kubernetes.serviceAccountKubeconfig(operatorNamespace, name),
    rights: [...new Set(rights)].sort(),
  };
}

/** What the operator asked the API server for, by the API server's own audit log. */
export interface OperatorRequests {
  /** The rights that it made use of, as `OperatorAccount.rights` has them, sorted. */
  readonly used: readonly string[];
  /** Those that it wanted and does not have. */
  readonly forbidden: readonly string[];
  /** The namespaces that it asked about, sorted; "" where it asked about all. */
  readonly namespaces: readonly string[];
}

interface AuditEvent {
  readonly user: { readonly username: string };
  readonly verb: string;
  readonly objectRef?: {
    readonly apiGroup?: string;
    readonly namespace?: string;
    readonly resource: string;
    readonly subresource?: string;
  };
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Everything that the operator's service account, by default the kustomize base's, asked for until now. */
export async function operatorRequests(
  { directory }: Kubernetes,
  account = baseAccount,
): Promise<OperatorRequests> {
  const namespaces = new Set<string>();
  const used = new Set<string>();
  const forbidden = new Set<string>();
  const log = await readFile(controlPlanePaths(directory).auditLog, "utf8");
  for (const line of log.split("\n").filter((each) => each !== "")) {
    const { user: by, verb, objectRef, annotations } = JSON.parse(line) as AuditEvent;
    if (by.username !== userOf(account)) continue;
    const { apiGroup = "", namespace = "", resource = "", subresource } = objectRef ?? {};
    namespaces.add(namespace);
    const right = rightOf(verb, apiGroup, resource, subresource);
    (annotations?.["authorization.k8s.io/decision"] === "allow" ? used : forbidden).add(right);
  }
  return {
    used: [...used].sort(),
    forbidden: [...forbidden].sort(),
    namespaces: [...namespaces].sort(),
  };
}

function rightOf(verb: string, group: string, resource = "", subresource?: string): string {
  return `${verb} ${resource}${group && `.${group}`}${subresource === undefined ? "" : `/${subresource}`}`;
}
