import { join } from "node:path";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { useKubernetes } from "../support/kubernetes.ts";
import { allValues } from "./all-values.ts";
import { helmDeadlineMs, helmProgram, manifestsOf, render } from "./helm/helm.ts";
import type { Manifest } from "./helm/helm.ts";

const deploy = join(import.meta.dirname, "../../deploy");
const namespace = "asterisk-iac-system";
const kubernetes = useKubernetes();
const dryRun = ["apply", "--server-side", "--dry-run=server"];

let helm: string;
let kustomized: string;

beforeAll(async () => {
  helm = await helmProgram();
  kustomized = await kubernetes.kubectl(["kustomize", deploy]);
  // A dry run stores no namespace for what is in it.
  const [own] = manifestsOf(kustomized).filter(({ kind }) => kind === "Namespace");
  await kubernetes.apply(JSON.stringify(own));
}, helmDeadlineMs);

describe("the API server accepts", () => {
  test("the kustomize base", async () => {
    const said = await kubernetes.kubectl([...dryRun, "-k", deploy]);
    expect(said.trim().split("\n")).toHaveLength(13);
  });

  test.each([
    ["as it comes", {}],
    ["with every value", allValues],
  ])("the chart %s", async (_, values) => {
    const input = await render(helm, { values });
    const said = await kubernetes.kubectl([...dryRun, "-f", "-"], { input });
    expect(said.trim().split("\n")).toHaveLength(manifestsOf(input).length);
  });

  // Of a Deployment it looks at no pod before one is made.
  test("the operator's pod, where only restricted ones are", async () => {
    const { metadata, spec } = (podTemplates()[0] ?? {}) as Manifest;
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { ...metadata, name: "one", namespace }, spec };
    const said = await kubernetes.kubectl([...dryRun, "-f", "-"], { input: JSON.stringify(pod) });
    expect(said).toContain("pod/one");
    const asRoot = { ...pod, spec: { ...(spec as object), securityContext: {} } };
    const refused = kubernetes.kubectl([...dryRun, "-f", "-"], { input: JSON.stringify(asRoot) });
    await expect(refused).rejects.toThrow(/violates PodSecurity "restricted/);
  });
});

function podTemplates(): unknown[] {
  return manifestsOf(kustomized)
    .filter(({ kind }) => kind === "Deployment")
    .map((deployment) => (deployment["spec"] as { template: unknown }).template);
}

describe("the operator's service account", () => {
  const account = `system:serviceaccount:${namespace}:asterisk-iac`;
  const can = async (verb: string, what: string, where: string): Promise<boolean> => {
    // To kubectl `a/b` is the object b.
    const [resource = "", subresource] = what.split("/");
    const asked = ["auth", "can-i", verb, resource, "--as", account, "--namespace", where];
    if (subresource !== undefined) asked.push("--subresource", subresource);
    const said = await kubernetes.kubectl(asked).catch((error: unknown) => (error as Error).message);
    return said.trim() === "yes";
  };

  beforeAll(async () => {
    const rights = manifestsOf(kustomized).filter(({ kind }) => /Role|ServiceAccount/.test(kind));
    await kubernetes.apply(JSON.stringify({ apiVersion: "v1", kind: "List", items: rights }));
    await kubernetes.kubectl(["apply", "--server-side", "-f", join(deploy, "../crds")]);
  });

  test.each([
    ["watch", "asteriskservers.asterisk-iac.dev", "default"],
    ["patch", "amiaccounts.asterisk-iac.dev", "default"],
    ["patch", "conffiles.asterisk-iac.dev/status", "default"],
    ["update", "secrets", "default"],
    ["watch", "configmaps", "default"],
    ["get", "namespaces", "default"],
    ["patch", "events", "default"],
    ["update", "leases.coordination.k8s.io", namespace],
  ])("may %s %s in %s", async (verb, resource, where) => {
    expect(await can(verb, resource, where)).toBe(true);
  });

  test.each([
    ["delete", "asteriskservers.asterisk-iac.dev", "default"],
    ["patch", "asteriskservers.asterisk-iac.dev", "default"],
    ["create", "conffiles.asterisk-iac.dev", "default"],
    ["delete", "secrets", "default"],
    ["update", "configmaps", "default"],
    ["create", "pods", namespace],
    ["create", "serviceaccounts/token", namespace],
    ["update", "leases.coordination.k8s.io", "kube-system"],
    ["patch", "clusterroles.rbac.authorization.k8s.io", "default"],
  ])("may not %s %s in %s", async (verb, resource, where) => {
    expect(await can(verb, resource, where)).toBe(false);
  });
});
