import { readFile } from "node:fs/promises";
import { parseAllDocuments } from "yaml";
import { controlPlanePaths } from "../../lab/kubernetes/control-plane.ts";
import type { Kubernetes } from "./kubernetes.ts";
import { until } from "./until.ts";

const deploy = new URL("../../deploy", import.meta.url).pathname;
const name = "asterisk-iac";

/** Where the kustomize base and the chart install the operator, and where its Lease is. */
export const operatorNamespace = "asterisk-iac-system";
const user = `system:serviceaccount:${operatorNamespace}:${name}`;

/** The service account that the kustomize base installs; test/deploy/render.test.ts shows that it is the chart's too. */
export interface OperatorAccount {
  /** The file of its kubeconfig. */
  readonly kubeconfig: string;
  /** All that its roles let it do: `patch conffiles.asterisk-iac.dev/status`, each of them once, sorted. */
  readonly rights: readonly string[];
}

interface Installed {
  readonly kind: string;
  readonly rules?: readonly { apiGroups: string[]; resources: string[]; verbs: string[] }[];
}

/** Installs the operator's service account with its roles, and nothing else of the operator. */
export async function installAccount(kubernetes: Kubernetes): Promise<OperatorAccount> {
  const installed = parseAllDocuments(await kubernetes.kubectl(["kustomize", deploy]))
    .map((document) => document.toJS() as Installed)
    .filter(({ kind }) => /^(Namespace|ServiceAccount|(Cluster)?Role(Binding)?)$/.test(kind));
  for (const object of installed) await kubernetes.apply(JSON.stringify(object));
  // The API server learns of new roles a moment after it stored them.
  for (const right of ["list secrets", "get leases.coordination.k8s.io"])
    await until(async () => {
      const asked = ["auth", "can-i", ...right.split(" "), "-n", operatorNamespace, "--as", user];
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
}

interface AuditEvent {
  readonly user: { readonly username: string };
  readonly verb: string;
  readonly objectRef?: {
    readonly apiGroup?: string;
    readonly resource: string;
    readonly subresource?: string;
  };
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Everything that the operator's service account asked for until now. */
export async function operatorRequests({ directory }: Kubernetes): Promise<OperatorRequests> {
  const used = new Set<string>();
  const forbidden = new Set<string>();
  const log = await readFile(controlPlanePaths(directory).auditLog, "utf8");
  for (const line of log.split("\n").filter((each) => each !== "")) {
    const { user: by, verb, objectRef, annotations } = JSON.parse(line) as AuditEvent;
    if (by.username !== user) continue;
    const { apiGroup = "", resource = "", subresource } = objectRef ?? {};
    const right = rightOf(verb, apiGroup, resource, subresource);
    (annotations?.["authorization.k8s.io/decision"] === "allow" ? used : forbidden).add(right);
  }
  return { used: [...used].sort(), forbidden: [...forbidden].sort() };
}

function rightOf(verb: string, group: string, resource = "", subresource?: string): string {
  return `${verb} ${resource}${group && `.${group}`}${subresource === undefined ? "" : `/${subresource}`}`;
}
