import { beforeAll, describe, expect, test } from "@jest/globals";
import { KubeConfig } from "@kubernetes/client-node";
import { consoleAudience, KubernetesSignIn } from "../../console/kubernetes-sign-in.ts";
import { APIServer } from "../../operator/runtime/api.ts";
import { useKubernetes } from "../support/kubernetes.ts";

const kubernetes = useKubernetes();
let signIn: KubernetesSignIn;

const role = (name: string, verbs: string): string => `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: ${name}, namespace: default }
rules:
  - apiGroups: [asterisk-iac.dev]
    resources: [asteriskservers/console]
    resourceNames: [pbx1]
    verbs: [${verbs}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: ${name}, namespace: default }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: ${name} }
subjects: [{ kind: ServiceAccount, name: ${name}, namespace: default }]
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: ${name}, namespace: default }
`;

beforeAll(async () => {
  const config = new KubeConfig();
  config.loadFromFile(kubernetes.kubeconfig);
  const api = new APIServer(config);
  signIn = new KubernetesSignIn((path, body) => api.request({ method: "POST", path, body }));
  await kubernetes.apply(
    [
      role("viewer", "view"),
      role("operator", "view, operate"),
      role("admin", "administer"),
      role("nobody", "get"),
    ].join("---"),
  );
});

const token = async (name: string, audience = consoleAudience): Promise<string> =>
  (await kubernetes.kubectl(["create", "token", name, "--audience", audience])).trim();

describe("a token of Kubernetes", () => {
  test.each(["viewer", "operator", "admin"])(
    "of a %s is that on the server that RBAC names, and nothing elsewhere",
    async (name) => {
      const person = await signIn.signIn(await token(name));
      expect(person?.who).toBe(`system:serviceaccount:default:${name}`);
      expect(await person?.roleOn("default/pbx1")).toBe(name);
      for (const other of ["default/pbx2", "kube-system/pbx1", "pbx1", "default/pbx1/x"])
        expect(await person?.roleOn(other)).toBeUndefined();
      expect(await person?.isStillValid()).toBe(true);
    },
  );

  test("without a verb of the console it signs in to nothing", async () => {
    const person = await signIn.signIn(await token("nobody"));
    expect(await person?.roleOn("default/pbx1")).toBeUndefined();
  });

  test("made for the API server itself, or made up, it is nobody's", async () => {
    expect(
      await signIn.signIn(await token("admin", "https://kubernetes.default.svc.cluster.local")),
    ).toBeUndefined();
    expect(await signIn.signIn(`${await token("admin")}x`)).toBeUndefined();
    expect(await signIn.signIn("not a token\r\n")).toBeUndefined();
  });
});
