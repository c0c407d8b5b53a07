import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { parseAllDocuments } from "yaml";
import { useKubernetes } from "../support/kubernetes.ts";
import { accepted, refused, refusedInKubernetes } from "./judged.ts";
import type { Judged, Kind } from "./judged.ts";

const root = join(import.meta.dirname, "../..");
const apiVersion = "asterisk-iac.dev/v1alpha1";
const kubernetes = useKubernetes();

beforeAll(async () => {
  await kubernetes.kubectl(["apply", "--server-side", "-f", join(root, "crds")]);
  await kubernetes.kubectl([
    "wait",
    "--for=condition=Established",
    "--timeout=60s",
    "-f",
    join(root, "crds"),
  ]);
});

/** A resource of which nothing but the spec matters, called by its place in a table. */
function manifestOf({ kind, spec }: Judged, name: string) {
  return { apiVersion, kind, metadata: { name, namespace: "default" }, spec };
}

/** What the API server says of each resource, by name; nothing is stored. One run of kubectl: it goes on after errors. */
async function judge(manifests: readonly { metadata: { name: string } }[]): Promise<Map<string, string>> {
  const input = JSON.stringify({ apiVersion: "v1", kind: "List", items: manifests });
  const flags = ["--dry-run=server", "-f", "-", "-o", "name"];
  const said = await kubernetes.kubectl(["create", ...flags], { input }).then(
    () => "",
    (error: unknown) => (error as Error).message,
  );
  const complaints = said
    .split(/(?=Error from server)/)
    .map((text) => [/"([^"]+)" is invalid/.exec(text)?.[1], text]);
  return new Map(complaints.filter((one): one is [string, string] => one[0] !== undefined));
}

describe("a table of specs", () => {
  const rows = [
    ...refused.map((row) => ({ ...row, says: typeof row.says === "string" ? row.says : row.says.apiServer })),
    ...refusedInKubernetes,
    ...accepted.map((row) => ({ ...row, says: undefined })),
  ].map((row, index) => ({ ...row, name: `row-${index}` }));
  let complaints: Map<string, string>;

  beforeAll(async () => {
    complaints = await judge(rows.map((row) => manifestOf(row, row.name)));
  });

  test.each(rows.filter(({ says }) => says !== undefined))("$kind: $what is refused", ({ name, says }) => {
    expect(complaints.get(name)).toContain(says);
  });

  test.each(rows.filter(({ says }) => says === undefined))("$kind: $what is accepted", ({ name }) => {
    expect(complaints.get(name)).toBeUndefined();
  });
});

test("the examples are accepted", async () => {
  const files = await readdir(join(root, "examples"), { recursive: true });
  const texts = await Promise.all(
    files
      .filter((file) => file.endsWith(".yaml"))
      .map((file) => readFile(join(root, "examples", file), "utf8")),
  );
  const documents = texts
    .filter((text) => text.includes(apiVersion))
    .flatMap((text) =>
      parseAllDocuments(text).map((document) => document.toJS() as { metadata: { name: string } }),
    );
  expect(documents.length).toBeGreaterThanOrEqual(3);
  expect(await judge(documents)).toEqual(new Map());
});

test("a field that is not known is refused, naming it", async () => {
  const manifest = {
    apiVersion,
    kind: "ConfFile",
    metadata: { name: "one", namespace: "default" },
    spec: { serverRef: { name: "pbx1" }, path: "queues.conf", contents: "" },
  };
  const creating = kubernetes.kubectl(["create", "--dry-run=server", "-f", "-"], {
    input: JSON.stringify(manifest),
  });
  await expect(creating).rejects.toThrow(/unknown field "spec\.contents"/);
});

describe("what is there", () => {
  const first: readonly (Judged & { readonly change: Record<string, unknown>; readonly field: string })[] = [
    {
      kind: "AMIAccount",
      what: "username",
      field: "username",
      spec: { serverRef: { name: "pbx1" }, username: "crm", generate: true },
      change: { username: "crm2" },
    },
    {
      kind: "AMIAccount",
      what: "serverRef",
      field: "serverRef",
      spec: { serverRef: { name: "pbx1" }, username: "crm", generate: true },
      change: { serverRef: { name: "pbx2" } },
    },
    {
      kind: "ConfFile",
      what: "path",
      field: "path",
      spec: { serverRef: { name: "pbx1" }, path: "queues.conf", content: "" },
      change: { path: "musiconhold.conf" },
    },
    {
      kind: "ConfFile",
      what: "serverRef",
      field: "serverRef",
      spec: { serverRef: { name: "pbx1" }, path: "queues.conf", content: "" },
      change: { serverRef: { name: "pbx2" } },
    },
  ];

  test.each(first)("$kind: $field can't be changed, the rest can", async ({ kind, spec, change, field }) => {
    const name = `kept-${kind}-${field}`.toLowerCase();
    await kubernetes.apply(JSON.stringify(manifestOf({ kind, what: "", spec }, name)));
    const other = manifestOf({ kind, what: "", spec: { ...spec, deletionPolicy: "Retain" } }, name);
    await kubernetes.apply(JSON.stringify(other));
    const changed = kubernetes.apply(JSON.stringify({ ...other, spec: { ...other.spec, ...change } }));
    await expect(changed).rejects.toThrow(`${field} can't be changed`);
  });

  test("what is not declared is stored with its default", async () => {
    const spec = { ssh: { host: "pbx1" }, ami: { credentialsSecretRef: { name: "ami" } } };
    await kubernetes.apply(
      JSON.stringify(manifestOf({ kind: "AsteriskServer", what: "", spec }, "defaults")),
    );
    const stored = await kubernetes.get<{ spec: unknown }>(["asterisk", "defaults"]);
    expect(stored.spec).toMatchObject({
      ssh: { port: 22, hostKeyPolicy: "Pinned" },
      ami: { host: "127.0.0.1", port: 5038, via: "SSHTunnel", allowPlaintext: false },
      drift: "Correct",
      maxChange: "30%",
      suspend: false,
      interval: "10m",
    });
  });
});

describe("a status", () => {
  const time = "2026-01-02T03:04:05Z";
  const ready = {
    type: "Ready",
    status: "True",
    reason: "InSync",
    message: "",
    observedGeneration: 1,
    lastTransitionTime: time,
  };
  const statuses: readonly {
    kind: Kind;
    spec: Record<string, unknown>;
    status: object;
    columns: string[];
    row: string[];
  }[] = [
    {
      kind: "AsteriskServer",
      spec: {
        ssh: { host: "pbx1" },
        ami: { credentialsSecretRef: { name: "ami" } },
        updateDirection: "ToAsterisk",
      },
      status: {
        observedGeneration: 1,
        conditions: [
          ready,
          { ...ready, type: "InitialImportDone" },
          { ...ready, type: "InSync", status: "False", reason: "Drift" },
        ],
        asteriskVersion: "22.10.1",
        updateDirection: "ToAsterisk",
        initialImport: { done: true, time, files: 102 },
        lastApplied: { generation: 1, time, planHash: "0123abcd" },
        activeCalls: 0,
        consoleURL: "https://pbx.example.com/console",
        handledRequests: { restart: "2026-01-02T03:04:05Z/now" },
      },
      columns: ["NAME", "READY", "DIRECTION", "IMPORTED", "IN SYNC", "VERSION", "AGE"],
      row: ["True", "ToAsterisk", "True", "False", "22.10.1"],
    },
    {
      kind: "AMIAccount",
      spec: { serverRef: { name: "pbx1" }, username: "crm", generate: true },
      status: {
        conditions: [ready],
        file: "manager.d/crm.conf",
        verified: [{ attribute: "read", live: "call,cdr" }],
        loginProved: true,
      },
      columns: ["NAME", "READY", "SERVER", "USERNAME", "FILE", "AGE"],
      row: ["True", "pbx1", "crm", "manager.d/crm.conf"],
    },
    {
      kind: "ConfFile",
      spec: { serverRef: { name: "pbx1" }, path: "queues.conf", content: "" },
      status: {
        conditions: [ready],
        path: "queues.conf",
        hash: "0123",
        lastApplied: { generation: 1, time, planHash: "0123abcd" },
      },
      columns: ["NAME", "READY", "SERVER", "PATH", "AGE"],
      row: ["True", "pbx1", "queues.conf"],
    },
  ];

  test.each(statuses)(
    "of $kind is stored as it is, and shown in columns",
    async ({ kind, spec, status, columns, row }) => {
      const manifest = manifestOf({ kind, what: "", spec }, "shown");
      await kubernetes.apply(JSON.stringify(manifest));
      const { apiVersion, metadata } = manifest;
      const applied = { apiVersion, kind, metadata, status };
      const flags = ["--server-side", "--subresource=status", "--field-manager=operator", "-f", "-"];
      await kubernetes.kubectl(["apply", ...flags], { input: JSON.stringify(applied) });

      const stored = await kubernetes.get<{ status: unknown; metadata: { generation: number } }>([
        kind,
        "shown",
      ]);
      expect(stored.status).toEqual(status);
      expect(stored.metadata.generation).toBe(1);
      const shown = (await kubernetes.kubectl(["get", kind, "shown"])).trim().split("\n");
      const cells = shown.map((line) => line.trim().split(/ {2,}/));
      expect(cells[0]).toEqual(columns);
      expect(cells[1]?.slice(1, -1)).toEqual(row);
    },
  );

  test("of no condition that is none is stored", async () => {
    const manifest = manifestOf({ kind: "ConfFile", what: "", spec: statuses[2]?.spec ?? {} }, "refused");
    await kubernetes.apply(JSON.stringify(manifest));
    const status = { conditions: [{ ...ready, status: "Maybe" }] };
    const patched = kubernetes.kubectl([
      ...["patch", "conf", "refused", "--subresource=status", "--type=merge"],
      ...["-p", JSON.stringify({ status })],
    ]);
    await expect(patched).rejects.toThrow(/Unsupported value: "Maybe"/);
  });
});

test("all kinds have a short name, and one category has them all", async () => {
  const names = await kubernetes.kubectl(["get", "asterisk-iac", "-A", "-o", "name"]);
  const kinds = new Set(
    names
      .trim()
      .split("\n")
      .map((name) => name.split("/")[0]),
  );
  expect([...kinds].sort()).toEqual([
    "amiaccount.asterisk-iac.dev",
    "asteriskserver.asterisk-iac.dev",
    "conffile.asterisk-iac.dev",
  ]);
  for (const name of ["asterisk", "ami", "conf"]) await kubernetes.kubectl(["get", name]);
});
