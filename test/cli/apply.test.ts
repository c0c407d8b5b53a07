import { beforeAll, describe, expect, test } from "@jest/globals";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Run } from "../support/asteriskctl.ts";
import { asteriskctl } from "../support/asteriskctl.ts";
import type { Snapshot } from "../support/lab-reconciler.ts";
import { LabReconciler, sha256Of } from "../support/lab-reconciler.ts";
import { useLab } from "../support/lab.ts";
import { editedManifests } from "../support/manifest.ts";
import { watchReloads } from "../support/reload-watch.ts";

interface ApplyDocument {
  command: string;
  servers: {
    server: string;
    ok: boolean;
    outcome?: string;
    refusals?: { code: string; message: string }[];
    error?: { code: string };
  }[];
}

describe("one server", () => {
  const lab = useLab();
  let reconciler: LabReconciler;
  let manifests: string;
  /** The same server without a direction, and the other way round. */
  let undirected: string;
  let reversed: string;

  beforeAll(async () => {
    reconciler = await LabReconciler.of(lab);
    manifests = join(lab.directory, "manifests.yaml");
    undirected = editedManifests(lab, "undirected.yaml", {
      pbx1: (spec) => delete spec["updateDirection"],
    });
    reversed = editedManifests(lab, "reversed.yaml", {
      pbx1: (spec) => (spec["updateDirection"] = "FromAsterisk"),
    });
    for (const path of ["one.conf", "two.conf", "three.conf"]) reconciler.put("server", path, `[${path}]\n`);
    await reconciler.import();
  }, 600_000);

  const run = (file: string, ...args: string[]): Promise<Run> => asteriskctl(["-f", file, ...args]);
  const both = (path: string): (string | undefined)[] => [
    reconciler.bytes("source", path)?.toString(),
    reconciler.bytes("server", path)?.toString(),
  ];

  /** Runs a command that must leave every file and record of both sides as it is, down to inodes and times. */
  async function untouched(work: () => Promise<Run>): Promise<Run> {
    const before = await reconciler.snapshot();
    const done = await work();
    expect(await reconciler.snapshot()).toEqual(before);
    return done;
  }

  /** The paths of both sides that differ between two looks. */
  function touched(before: Snapshot, after: Snapshot): string[] {
    return (["source", "server"] as const).flatMap((side) =>
      [...new Set([...before[side].keys(), ...after[side].keys()])]
        .filter((path) => before[side].get(path)?.inode !== after[side].get(path)?.inode)
        .map((path) => `${side} ${path}`),
    );
  }

  test("applied again there is nothing to do: nothing is written, nothing reloaded", async () => {
    const extensions = reconciler.bytes("source", "extensions.conf")?.toString("latin1") ?? "";
    reconciler.put("source", "extensions.conf", `${extensions}\n[applied-twice]\nexten => 4711,1,NoOp()\n`);
    const reloads = await watchReloads(reconciler.server);
    try {
      const first = await run(manifests, "apply", "--yes");
      expect(first).toMatchObject({ code: 0, stderr: "" });
      expect(await reloads.heard()).toEqual(["pbx_config.so"]);
      const dialplan = await reconciler.server.run(["asterisk", "-rx", "dialplan show applied-twice"]);
      expect(dialplan.stdout).toContain("'4711' =>");

      const again = await untouched(() => run(manifests, "apply", "--yes"));
      expect(again.code).toBe(0);
      expect(again.stdout).toContain("nothing to do");
      expect(await reloads.heard()).toEqual([]);
    } finally {
      await reloads.close();
    }
  });

  test("a command that would ask fails without a terminal, and says what to pass", async () => {
    reconciler.put("source", "one.conf", "[asked]\n");
    for (const command of ["apply", "upload"]) {
      const asked = await untouched(() => run(manifests, command));
      expect([command, asked.code]).toEqual([command, 1]);
      expect(asked.stderr).toContain("there is no terminal to ask on");
      expect(asked.stderr).toContain("--yes");
    }
  });

  test("a saved plan is applied, once; when the plan is another by then it is refused", async () => {
    const file = join(lab.directory, "one.plan");
    reconciler.put("source", "one.conf", "[saved]\nname = planned\n");
    expect((await run(manifests, "plan", "--out", file)).code).toBe(0);
    expect(readFileSync(file, "utf8")).not.toContain("planned");

    reconciler.put("source", "two.conf", "[came later]\n");
    const refused = await untouched(() => run(manifests, "apply", file));
    expect(refused.code).toBe(1);
    expect(refused.stdout + refused.stderr).toMatch(/the plan is [0-9a-f]+ now, not [0-9a-f]+/);

    reconciler.put("source", "two.conf", "[two.conf]\n");
    expect((await run(manifests, "apply", file)).code).toBe(0);
    expect(both("one.conf")).toEqual(["[saved]\nname = planned\n", "[saved]\nname = planned\n"]);
    expect((await untouched(() => run(manifests, "apply", file))).code).toBe(1);
  });

  test("something that is no saved plan is bad input", async () => {
    const file = join(lab.directory, "no.plan");
    writeFileSync(file, "{}");
    const refused = await untouched(() => run(manifests, "apply", file));
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("not a saved plan");
  });

  test("--expect applies the plan with that hash and no other", async () => {
    reconciler.put("source", "one.conf", "[expected]\n");
    const { hash } = await reconciler.plan();
    const other = (hash.startsWith("0") ? "1" : "0") + hash.slice(1, 12);
    expect((await untouched(() => run(manifests, "apply", "--expect", other))).code).toBe(1);
    expect((await run(manifests, "apply", "--expect", hash.slice(0, 12))).code).toBe(0);
    expect(both("one.conf")).toEqual(["[expected]\n", "[expected]\n"]);
  });

  test("without a direction plan exits 0 and apply 3, and nothing is written", async () => {
    reconciler.put("source", "one.conf", "[undirected]\n");
    const plan = await untouched(() => run(undirected, "plan"));
    expect(plan.code).toBe(0);
    expect(plan.stdout).toContain("no updateDirection");
    const apply = await untouched(() => run(undirected, "apply", "--yes"));
    expect(apply.code).toBe(3);
    expect(apply.stdout + apply.stderr).toContain("upload");
  });

  test("upload and download need no direction, and go against one; the old bytes are kept", async () => {
    expect((await run(undirected, "upload", "--yes")).code).toBe(0);
    expect(both("one.conf")).toEqual(["[undirected]\n", "[undirected]\n"]);

    reconciler.put("source", "one.conf", "[of the source]\n");
    reconciler.put("server", "two.conf", "[of the server]\n");
    expect((await run(reversed, "upload", "--yes", "--file", "one.conf")).code).toBe(0);
    expect(both("one.conf")).toEqual(["[of the source]\n", "[of the source]\n"]);
    expect(both("two.conf")).toEqual(["[two.conf]\n", "[of the server]\n"]);

    expect((await run(manifests, "download", "--yes")).code).toBe(0);
    expect(both("two.conf")).toEqual(["[of the server]\n", "[of the server]\n"]);
    for (const text of ["[undirected]\n", "[two.conf]\n"])
      expect([text, await isKept(text)]).toEqual([text, true]);
  });

  test("what only one side has, and was never recorded, survives every choice of the other side", async () => {
    reconciler.put("source", "only-source.conf", "[only here]\n");
    reconciler.put("server", "only-server.conf", "[only there]\n");
    expect((await run(undirected, "apply", "--yes", "--take", "server")).code).toBe(0);
    expect(both("only-source.conf")).toEqual(["[only here]\n", undefined]);
    expect(both("only-server.conf")).toEqual(["[only there]\n", "[only there]\n"]);
    reconciler.put("server", "only-server-2.conf", "[only there]\n");
    for (const choice of [["upload"], ["apply", "--take", "source"]]) {
      expect([choice, (await run(undirected, ...choice, "--yes")).code]).toEqual([choice, 0]);
      expect(both("only-server-2.conf")).toEqual([undefined, "[only there]\n"]);
    }
    expect(both("only-source.conf")).toEqual(["[only here]\n", "[only here]\n"]);
    reconciler.put("server", "only-server-2.conf", null);
  });

  test("--take ends a conflict for the files of --file, and only for those", async () => {
    for (const path of ["one.conf", "two.conf"]) {
      reconciler.put("source", path, "[source moved]\n");
      reconciler.put("server", path, "[server moved]\n");
    }
    expect((await untouched(() => run(manifests, "apply", "--yes"))).code).toBe(3);
    const some = await untouched(() =>
      run(manifests, "apply", "--yes", "--take", "source", "--file", "one.conf"),
    );
    expect(some.code).toBe(3);
    expect(some.stdout + some.stderr).toContain("two.conf");
    const server = await run(manifests, "apply", "--yes", "--take", "server");
    expect(server.code).toBe(0);
    expect(both("one.conf")).toEqual(["[server moved]\n", "[server moved]\n"]);
    expect(both("two.conf")).toEqual(["[server moved]\n", "[server moved]\n"]);
  });

  test("rules: the first that matches gives a path its direction, or leaves it unmanaged", async () => {
    const ruled = editedManifests(lab, "ruled.yaml", {
      pbx1: (spec) =>
        (spec["rules"] = [
          { files: "rules/two*.conf", updateDirection: "FromAsterisk" },
          { files: "rules/three.conf", unmanaged: true },
          { files: "rules/*.conf", updateDirection: "ToAsterisk" },
          { files: "**/*.conf", updateDirection: "FromAsterisk" },
        ]),
    });
    const paths = ["rules/one.conf", "rules/two.conf", "rules/three.conf", "three.conf"];
    for (const path of paths) reconciler.put("source", path, "[equal]\n");
    expect((await run(manifests, "apply", "--yes")).code).toBe(0);
    for (const path of paths) expect(both(path)).toEqual(["[equal]\n", "[equal]\n"]);

    reconciler.put("source", "rules/one.conf", "[source]\n");
    reconciler.put("server", "rules/two.conf", "[server]\n");
    reconciler.put("source", "rules/three.conf", "[source]\n");
    reconciler.put("server", "rules/three.conf", "[server]\n");
    reconciler.put("server", "three.conf", "[server]\n");
    const before = await reconciler.snapshot();
    const applied = await run(ruled, "apply", "--yes");
    expect(applied).toMatchObject({ code: 0, stderr: "" });
    expect(touched(before, await reconciler.snapshot())).toEqual([
      "source rules/two.conf",
      "source three.conf",
      "server rules/one.conf",
    ]);
    expect(both("rules/one.conf")).toEqual(["[source]\n", "[source]\n"]);
    expect(both("rules/two.conf")).toEqual(["[server]\n", "[server]\n"]);
    expect(both("rules/three.conf")).toEqual(["[source]\n", "[server]\n"]);
    expect(both("three.conf")).toEqual(["[server]\n", "[server]\n"]);

    // Unmanaged is left alone by upload and download, too.
    for (const command of ["upload", "download"])
      expect((await untouched(() => run(ruled, command, "--yes", "--file", "rules/three.conf"))).code).toBe(
        0,
      );
  });

  test("a change on the wrong side is drift, and never flows against the direction", async () => {
    reconciler.put("source", "rules/three.conf", "[server]\n");
    expect((await run(manifests, "apply", "--yes")).code).toBe(0);
    reconciler.put("server", "one.conf", "[drifted]\n");
    expect((await run(manifests, "apply", "--yes")).code).toBe(0);
    expect(both("one.conf")).toEqual(["[server moved]\n", "[server moved]\n"]);
    expect(await isKept("[drifted]\n")).toBe(true);

    reconciler.put("source", "one.conf", "[drifted here]\n");
    expect((await run(reversed, "apply", "--yes")).code).toBe(0);
    expect(both("one.conf")).toEqual(["[server moved]\n", "[server moved]\n"]);
    expect(await isKept("[drifted here]\n")).toBe(true);
  });

  /** Whether these bytes lie among the kept ones of either side. */
  async function isKept(text: string): Promise<boolean> {
    const { records } = await reconciler.snapshot();
    return [...records].some(
      ([path, { sha256 }]) => path.includes("kept/") && sha256 === sha256Of(Buffer.from(text)),
    );
  }
});

describe("a fleet whose servers differ", () => {
  const lab = useLab({ count: 3 });
  let manifests: string;
  let reconcilers: LabReconciler[];

  beforeAll(async () => {
    manifests = join(lab.directory, "manifests.yaml");
    reconcilers = await Promise.all([0, 1, 2].map((index) => LabReconciler.of(lab, index)));
    await Promise.all(reconcilers.map((each) => each.import()));
  }, 600_000);

  const server = (index: number): LabReconciler => {
    const found = reconcilers[index];
    if (found === undefined) throw new Error(`the lab has no server ${index}`);
    return found;
  };

  /** Both sides of a path moved apart. */
  function conflict(index: number, path: string): void {
    server(index).put("source", path, "[source]\n");
    server(index).put("server", path, "[server]\n");
  }

  test("exit 2 only for pending changes and only when asked for", async () => {
    server(0).put("source", "pending.conf", "[pending]\n");
    expect((await asteriskctl(["-f", manifests, "plan"])).code).toBe(0);
    expect((await asteriskctl(["-f", manifests, "plan", "--detailed-exitcode"])).code).toBe(2);
    expect((await asteriskctl(["-f", manifests, "plan", "--detailed-exitcode", "pbx2"])).code).toBe(0);
  });

  test("refused somewhere is 3, and the others are done; one document of JSON says which", async () => {
    conflict(1, "conflict.conf");
    const run = await asteriskctl(["-f", manifests, "--output", "json", "apply", "--yes"]);
    expect(run.code).toBe(3);
    const document = JSON.parse(run.stdout) as ApplyDocument;
    expect(document.command).toBe("apply");
    expect(document.servers.map(({ server, ok, outcome }) => ({ server, ok, outcome }))).toEqual([
      { server: "pbx1", ok: true, outcome: "Applied" },
      { server: "pbx2", ok: true, outcome: "Refused" },
      { server: "pbx3", ok: true, outcome: "NothingToDo" },
    ]);
    expect(document.servers[1]?.refusals).toEqual([expect.objectContaining({ code: "Conflict" })]);
    expect(server(0).bytes("server", "pending.conf")?.toString()).toBe("[pending]\n");
  });

  test("a plan in conflict is still exit 0, or 2 with --detailed-exitcode; never 3", async () => {
    expect((await asteriskctl(["-f", manifests, "plan", "pbx2"])).code).toBe(0);
    expect((await asteriskctl(["-f", manifests, "plan", "--detailed-exitcode", "pbx2"])).code).toBe(2);
  });

  test("a server that can't be reached makes it 1, whatever the others are", async () => {
    const broken = editedManifests(lab, "broken.yaml", {
      pbx3: (spec) => ((spec["ssh"] as { port: number }).port = 1),
    });
    server(0).put("source", "pending.conf", "[pending again]\n");
    const run = await asteriskctl(["-f", broken, "--output", "json", "apply", "--yes"]);
    expect(run.code).toBe(1);
    const { servers } = JSON.parse(run.stdout) as ApplyDocument;
    expect(servers.map(({ outcome, error }) => outcome ?? error?.code)).toEqual([
      "Applied",
      "Refused",
      "Unreachable",
    ]);
    expect(server(0).bytes("server", "pending.conf")?.toString()).toBe("[pending again]\n");
    expect((await asteriskctl(["-f", broken, "plan", "--detailed-exitcode"])).code).toBe(1);
  });

  test("a dialplan that does not parse makes it 1, beside a conflict", async () => {
    server(2).put("source", "extensions.conf", "[unclosed\nexten => 1,1,NoOp()\n");
    const run = await asteriskctl(["-f", manifests, "--output", "json", "apply", "--yes"]);
    expect(run.code).toBe(1);
    const { servers } = JSON.parse(run.stdout) as ApplyDocument;
    expect(servers.map(({ outcome }) => outcome)).toEqual(["NothingToDo", "Refused", "Refused"]);
    expect(servers[2]?.refusals).toEqual(
      expect.arrayContaining([expect.objectContaining({ code: "ConfInvalid" })]),
    );
  });

  test("bad input is 1: an unknown server, an unknown allowance, a hash that is none", async () => {
    for (const args of [
      ["apply", "--yes", "pbx9"],
      ["apply", "--yes", "--allow", "everything"],
      ["apply", "--expect", "xyz"],
      ["apply", "--take", "both"],
    ])
      expect([args, (await asteriskctl(["-f", manifests, ...args])).code]).toEqual([args, 1]);
  });
});

describe("a directory of FreePBX", () => {
  const lab = useLab({ freepbx: true });
  let reconciler: LabReconciler;

  beforeAll(async () => {
    reconciler = await LabReconciler.of(lab);
    await reconciler.import();
  }, 600_000);

  test("what is generated or linked is left alone by apply and upload; a custom file is written", async () => {
    const manifests = join(lab.directory, "manifests.yaml");
    const generated = ["extensions_additional.conf", "pjsip.endpoint.conf", "manager_additional.conf"];
    const linked = ["extensions.conf", "features.conf"];
    const before = await reconciler.snapshot();
    const targetsBefore = await linkTargets();
    for (const path of [...generated, ...linked]) reconciler.put("source", path, "[mine]\n");
    for (const [command, text] of [
      ["apply", "[from-internal-custom]\nexten => 1,1,NoOp()\n"],
      ["upload", "[from-internal-custom]\nexten => 2,1,NoOp()\n"],
    ] as const) {
      reconciler.put("source", "extensions_custom.conf", text);
      const run = await asteriskctl(["-f", manifests, command, "--yes"]);
      expect([command, run.code, run.stderr]).toEqual([command, 0, ""]);
      expect(reconciler.bytes("server", "extensions_custom.conf")?.toString()).toBe(text);
      const after = await reconciler.snapshot();
      const others = (snapshot: Snapshot): unknown =>
        [...snapshot.server].filter(([path]) => path !== "extensions_custom.conf");
      expect(others(after)).toEqual(others(before));
      expect(await linkTargets()).toBe(targetsBefore);
      expect(after.server.get("extensions_custom.conf")).toMatchObject({
        mode: "664",
        owner: "asterisk:asterisk",
      });
    }
  });

  async function linkTargets(): Promise<string> {
    const list = `find /etc/asterisk -type l -printf '%P -> %l %i\\n' | sort; find /var/www/html -type f -exec sha256sum {} + | sort`;
    const { stdout } = await reconciler.server.run(["sh", "-c", list]);
    expect(stdout).toContain("extensions.conf -> ");
    return stdout;
  }
});
