import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseAllDocuments, stringify } from "yaml";

interface Manifest {
  readonly metadata: { readonly name: string };
  readonly spec: { source?: unknown };
}

/**
 * Writes what a lab has for the CLI as Kubernetes objects of the namespace `default`: a Secret for every folder of
 * `secrets/` that is a server's, and its AsteriskServers without a source, which for the operator means
 * `source.resources`.
 */
export async function writeResources(labDirectory: string, file: string): Promise<void> {
  const manifests = parseAllDocuments(await readFile(join(labDirectory, "manifests.yaml"), "utf8"));
  const resources = await Promise.all(
    manifests.map(async (document) => {
      const manifest = document.toJS() as Manifest;
      const { name } = manifest.metadata;
      delete manifest.spec.source;
      return [
        await secret(labDirectory, `${name}-ssh`, "kubernetes.io/ssh-auth"),
        await secret(labDirectory, `${name}-ami`, "kubernetes.io/basic-auth"),
        { ...manifest, metadata: { name, namespace: "default" } },
      ];
    }),
  );
  const text = resources.flat().map((resource) => stringify(resource));
  await writeFile(file, text.join("---\n"), { mode: 0o600 });
}

/** The folder of a secret as an object: a file is a key. */
async function secret(labDirectory: string, name: string, type: string) {
  const folder = join(labDirectory, "secrets", name);
  const keys = (await readdir(folder)).sort();
  const values = await Promise.all(keys.map((key) => readFile(join(folder, key), "utf8")));
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace: "default" },
    type,
    stringData: Object.fromEntries(keys.map((key, index) => [key, values[index]])),
  };
}
