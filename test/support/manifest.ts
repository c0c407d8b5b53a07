import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import type { Lab } from "./lab.ts";

/** Changes one server's declaration; the document is what the lab's manifest has. */
export type Edit = (spec: Record<string, unknown>) => unknown;

/** Writes the lab's manifests anew with some servers' specs edited, beside the lab's own, and gives the file's name. */
export function editedManifests(lab: Lab, file: string, edits: Readonly<Record<string, Edit>>): string {
  const text = readFileSync(join(lab.directory, "manifests.yaml"), "utf8");
  const documents = [...parseAllDocuments(text)].map((document) => {
    const resource = document.toJS() as { metadata: { name: string }; spec: Record<string, unknown> };
    edits[resource.metadata.name]?.(resource.spec);
    return JSON.stringify(resource);
  });
  const path = join(lab.directory, file);
  writeFileSync(path, documents.join("\n---\n"));
  return path;
}
