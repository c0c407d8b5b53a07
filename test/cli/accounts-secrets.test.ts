/** Canaries: no secret is anywhere but in the server's file, its kept bytes and the secrets' folder. */
import { beforeAll, describe, expect, test } from "@jest/globals";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { asteriskctl } from "../support/asteriskctl.ts";
import { DeclaredReconciler } from "../support/declared.ts";
import { useLab } from "../support/lab.ts";
import { hostRoom } from "../support/lab-reconciler.ts";

const lab = useLab();
let server: DeclaredReconciler;

/** Secrets by where they are declared; the generated one comes when it is made. */
const canaries: Record<string, string> = {
  secretRef: "Canary-eiF7aiThoo4uqu0R",
  sections: "Canary-Ohx6iemohSh1iePh",
  content: "Canary-aiXeiTh3eeKa9vai",
  quoted: "Canary-ohNgai5ieSh9AeTh",
};
const all = (): string[] => Object.values(canaries);
/** All that our process said or showed while it ran. */
let said = "";

const resource = (kind: string, name: string, spec: object): object => ({
  ...{ apiVersion: "asterisk-iac.dev/v1alpha1", kind, metadata: { name } },
  spec: { serverRef: { name: "pbx1" }, ...spec },
});
const account = (name: string, spec: object): object =>
  resource("AMIAccount", name, { username: name, permit: ["127.0.0.1"], ...spec });
const good = [
  account("generated", { generate: true }),
  account("given", { secretRef: { name: "given", key: "password" } }),
  resource("ConfFile", "parts", {
    path: "extensions.conf",
    sections: [{ name: "canary", lines: "exten => 1,1,Set(odd=@{secret:trunk/sections})" }],
  }),
  resource("ConfFile", "whole", {
    path: "whole.conf",
    content: "[trunk]\nusername = x\nsomething = @{secret:trunk/content} ; @@{secret:trunk/content}\n",
  }),
];

/**
 * Runs a command on resources, and looks at every process of this machine that begins meanwhile, and at all of them in
 * the end: the lab's are among them.
 */
async function run(resources: readonly object[], ...args: string[]): Promise<number | null> {
  const file = join(lab.directory, "resources.yaml");
  writeFileSync(file, resources.map((each) => JSON.stringify(each)).join("\n---\n"));
  let isRunning = true;
  const before = new Set(processes());
  const watching = (async () => {
    while (isRunning) {
      lookAt(processes().filter((id) => !before.has(id)));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    lookAt(processes());
  })();
  const { code, stdout, stderr } = await asteriskctl(
    ["-f", join(lab.directory, "manifests.yaml"), "-f", file, ...args],
    { env: { DEBUG: "*" } },
  );
  isRunning = false;
  await watching;
  said += stdout + stderr;
  return code;
}

/** The numbers of all processes of this machine. */
function processes(): string[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name));
}

function lookAt(ids: readonly string[]): void {
  for (const id of ids) for (const part of ["cmdline", "environ"]) said += shown(`/proc/${id}/${part}`);
}

/** What a process shows, if it holds what no process may show. */
function shown(file: string): string {
  try {
    const text = readFileSync(file, "latin1");
    return all().some((canary) => text.includes(canary)) ? `${file}: ${text}` : "";
  } catch {
    return "";
  }
}

/** Files below a directory of this machine that hold a canary. */
function holders(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => all().some((canary) => readFileSync(file, "latin1").includes(canary)))
    .map((file) => file.slice(directory.length + 1))
    .sort();
}

const expectUnsaid = (): void => {
  for (const canary of all()) expect(said).not.toContain(canary);
};

beforeAll(async () => {
  server = await DeclaredReconciler.of(lab);
  const put = (name: string, key: string, value: string): void => {
    mkdirSync(join(lab.directory, "secrets", name), { recursive: true });
    writeFileSync(join(lab.directory, "secrets", name, key), `${value}\n`);
  };
  put("given", "password", canaries["secretRef"] ?? "");
  put("trunk", "sections", canaries["sections"] ?? "");
  put("trunk", "content", canaries["content"] ?? "");
  put("trunk", "quoted", canaries["quoted"] ?? "");
  put("trunk", "broken", `${canaries["content"] ?? ""};x`);
  await server.import();
}, 600_000);

describe("in every form", () => {
  test("plans, a saved plan, an apply, status and account verify show none", async () => {
    const saved = join(lab.directory, "canary.plan");
    expect(await run(good, "plan", "--out", saved)).toBe(0);
    canaries["generated"] = server.secret(lab, "generated");
    said += readFileSync(saved, "utf8");
    for (const output of ["json", "markdown"]) expect(await run(good, "--output", output, "plan")).toBe(0);
    expect(await run(good, "apply", "--yes")).toBe(0);
    expect(await run(good, "account", "verify")).toBe(0);
    expect(await run(good, "--output", "json", "account", "verify")).toBe(0);
    expect(await run(good, "--output", "json", "status")).toBe(0);
    expect(said).toContain("AMIAccount generated");
    expectUnsaid();
  }, 180_000);

  test("the server's files have them, the escape is off, and everything else has none", async () => {
    const { secretRef = "", sections = "", content = "", generated = "" } = canaries;
    expect(server.text("server", "whole.conf")).toContain(
      `something = ${content} ; @{secret:trunk/content}\n`,
    );
    expect(server.text("server", "extensions.conf")).toContain(`Set(odd=${sections})`);
    expect(server.text("server", "manager.conf")).toContain(`secret = ${secretRef}\n`);
    expect(server.text("server", "manager.conf")).toContain(`secret = ${generated}\n`);
    expect(holders(server.sourceDirectory)).toEqual([]);
    expect(existsSync(join(server.sourceDirectory, "whole.conf"))).toBe(false);
    const holding = await server.server.run([
      "grep",
      "-rlF",
      ...all().flatMap((each) => ["-e", each]),
      hostRoom,
    ]);
    expect(holding.stdout).toBe("");
  });
});

describe("changed, and failing", () => {
  test("a change, drift and what is refused show none; kept bytes are the owner's alone", async () => {
    const changed = good.map(
      (each) =>
        JSON.parse(
          JSON.stringify(each)
            .replace("Set(odd=", "Set(even=")
            .replace("username = x", "username = y")
            .replace('"permit":["127.0.0.1"]', '"permit":["127.0.0.1","10.0.0.1"]'),
        ) as object,
    );
    expect(await run(changed, "apply", "--yes")).toBe(0);
    const holding = await server.server.run([
      "grep",
      "-rlF",
      ...all().flatMap((each) => ["-e", each]),
      hostRoom,
    ]);
    for (const file of holding.stdout.trim().split("\n")) expect(file).toMatch(/^\S+\/asterisk-iac\/kept\//);
    const modes = await server.server.run(["stat", "-c", "%a", hostRoom, `${hostRoom}/kept`]);
    expect(modes.stdout).toBe("700\n700\n");

    const edited = server.text("server", "whole.conf") ?? "";
    server.put("server", "whole.conf", edited.replace("something", "; something"));
    expect(await run(changed, "plan")).toBe(0);
    server.put("server", "whole.conf", edited);

    const bad = (spec: object): object[] => [resource("ConfFile", "bad", { path: "queues.conf", ...spec })];
    expect(
      await run(bad({ content: "before any section = @{secret:trunk/content}\n" }), "apply", "--yes"),
    ).not.toBe(0);
    expect(await run(bad({ content: "[x\n@{secret:trunk/content}\n" }), "apply", "--yes")).not.toBe(0);
    expect(await run(bad({ content: "[x]\na = @{secret:trunk/broken}\n" }), "apply", "--yes")).toBe(1);
    expect(
      await run(bad({ sections: [{ name: "x", lines: "[@{secret:trunk/content}]" }] }), "apply", "--yes"),
    ).toBe(1);
    expect(await run(bad({ content: "@{secret:trunk/none}" }), "apply", "--yes")).toBe(1);
    // Lint quotes the value that Asterisk would refuse.
    const quoted = {
      path: "manager.conf",
      sections: [{ name: "q", lines: "permit = @{secret:trunk/quoted}" }],
    };
    const refused = [...changed, resource("ConfFile", "quoted", quoted)];
    expect(await run(refused, "apply", "--yes")).toBe(1);
    expect(await run(refused, "--output", "json", "apply", "--yes")).toBe(1);
    expect(said).toContain("Asterisk refuses this permit");
    expect(said).toContain("trunk");
    expectUnsaid();
    expect(holders(server.sourceDirectory)).toEqual([]);
  }, 180_000);

  test("a write that shuts us out, and is undone, shows none", async () => {
    const over = [
      ...good.slice(1),
      account("generated", { generate: true, permit: ["127.0.0.1", "10.0.0.2"] }),
      resource("ConfFile", "over", {
        path: "manager.conf",
        sections: [{ name: "asterisk-iac", lines: "permit = 10.0.0.1" }],
      }),
    ];
    const before = server.text("server", "manager.conf");
    expect(await run(over, "apply", "--yes", "--take", "source")).toBe(1);
    expect(server.text("server", "manager.conf")).toBe(before);
    expect(said).toContain("the old bytes are back");
    expectUnsaid();
  }, 180_000);
});
