import { expect, test } from "@jest/globals";
import { join } from "node:path";
import { loadManifests } from "../../cli/manifests.ts";
import { pathPolicy } from "../../core/resource/index.ts";

test("examples/git declares three servers in one repository, one of them a FreePBX that comes as a pull request", async () => {
  const { servers, resourcesOf } = await loadManifests([
    join(import.meta.dirname, "../../examples/git/manifests"),
  ]);
  expect(servers.map(({ name, resource: { spec } }) => [name, spec.updateDirection])).toEqual([
    ["berlin", "ToAsterisk"],
    ["hamburg", "ToAsterisk"],
    ["munich", "FromAsterisk"],
  ]);
  expect(new Set(servers.map(({ resource }) => resource.spec.source?.git?.url)).size).toBe(1);
  const [berlin, , munich] = servers.map(({ resource }) => resource.spec);
  if (berlin === undefined || munich === undefined) throw new Error("servers are missing");
  expect(munich.source?.git?.pullRequest).toEqual({ forge: "Gitea" });
  expect(pathPolicy(munich)("queues_custom.conf")).toEqual({ kind: "Managed", direction: "ToAsterisk" });
  expect(pathPolicy(berlin)("voicemail.conf")).toEqual({ kind: "Managed", direction: "FromAsterisk" });
  expect(resourcesOf("berlin").accounts.map(({ name }) => name)).toEqual(["crm"]);
});
