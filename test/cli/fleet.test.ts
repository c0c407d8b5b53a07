import { describe, expect, test } from "@jest/globals";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { join } from "node:path";
import { asteriskctl, asteriskctlJSON } from "../support/asteriskctl.ts";
import { useLab } from "../support/lab.ts";

interface FleetDocument {
  servers: {
    server: string;
    ok: boolean;
    milliseconds: number;
    inSync?: number;
    changes?: unknown[];
    error?: { code: string; message: string };
  }[];
}

const count = 20;
const lab = useLab({ count });
const manifests = (): string => join(lab.directory, "manifests.yaml");

describe("a fleet of 20", () => {
  test("is imported side by side, and after that the plan of every server is empty", async () => {
    const run = await asteriskctl(["-f", manifests(), "import"]);
    expect(run.code).toBe(0);
    expect(run.stderr).toContain("20 servers: 20 done");
    const { servers } = await asteriskctlJSON<FleetDocument>([
      "-f",
      manifests(),
      "plan",
      "--detailed-exitcode",
    ]);
    expect(servers.map(({ server }) => server)).toEqual(
      Array.from({ length: count }, (_, index) => `pbx${index + 1}`),
    );
    for (const server of servers) expect(server).toMatchObject({ ok: true, inSync: 102, changes: [] });
  });

  test("one that fails stops no other, and the summary says which and why", async () => {
    const broken = join(lab.directory, "broken.yaml");
    const [first, ...others] = readFileSync(manifests(), "utf8").split("---\n");
    writeFileSync(broken, [first?.replace(/port: \d+/, "port: 1"), ...others].join("---\n"));
    const run = await asteriskctl(["-f", broken, "plan"]);
    expect(run.code).toBe(1);
    expect(run.stderr).toContain("20 servers: 19 done, 1 failed: pbx1 (Unreachable)");
    expect(run.stderr).toMatch(/error: pbx1: .*127\.0\.0\.1:1/);
    expect(run.stdout.match(/102 in sync/g)).toHaveLength(19);
  });

  test("one whose connection is half open fails within 10 s, and the others do not wait for it (row 37)", async () => {
    const silent = createServer((socket) => socket.on("error", () => socket.destroy()));
    const { promise: listening, resolve } = Promise.withResolvers<undefined>();
    silent.listen(0, "127.0.0.1", () => resolve(undefined));
    await listening;
    const halfOpen = join(lab.directory, "half-open.yaml");
    writeFileSync(halfOpen, readFileSync(manifests()));
    const { port } = silent.address() as AddressInfo;
    appendFileSync(
      halfOpen,
      `---\napiVersion: asterisk-iac.dev/v1alpha1\nkind: AsteriskServer\nmetadata: { name: silent }\nspec:\n  ssh: { host: 127.0.0.1, port: ${port}, user: admin, credentialsSecretRef: { name: pbx1-ssh } }\n  ami: { credentialsSecretRef: { name: pbx1-ami } }\n  updateDirection: ToAsterisk\n`,
    );
    try {
      const { servers } = await asteriskctlJSON<FleetDocument>(["-f", halfOpen, "test"]);
      const hung = servers.find(({ server }) => server === "silent");
      expect(hung).toMatchObject({ ok: false, error: { code: "TimedOut" } });
      // A busy machine adds to the ten seconds.
      expect(hung?.milliseconds).toBeLessThan(15_000);
      const rest = servers.filter(({ server }) => server !== "silent");
      expect(rest.every(({ ok }) => ok)).toBe(true);
      expect(Math.max(...rest.map(({ milliseconds }) => milliseconds))).toBeLessThan(hung?.milliseconds ?? 0);
    } finally {
      silent.close();
    }
  });

  test("two names for one machine are refused, also where the addresses differ", async () => {
    const twice = join(lab.directory, "twice.yaml");
    const [first = ""] = readFileSync(manifests(), "utf8").split("---\n");
    const again = first.replace("name: pbx1\n", "name: again\n").replace("source/pbx1", "source/again");
    writeFileSync(twice, `${first}---\n${again}`);
    expect((await asteriskctl(["-f", twice, "import"])).stderr).toContain(
      "again is the same machine and configuration directory as pbx1",
    );

    const knownHosts = join(lab.directory, "secrets", "pbx1-ssh", "known_hosts");
    appendFileSync(knownHosts, readFileSync(knownHosts, "utf8").replace("127.0.0.1", "localhost"));
    writeFileSync(twice, `${first}---\n${again.replace("host: 127.0.0.1", "host: localhost")}`);
    const run = await asteriskctl(["-f", twice, "plan"]);
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(/2 servers: .* failed: .*DuplicateServer/);
  });
});
