/** ConfFiles that are a whole file, the direction of owned paths, and what a source gets to see. */
import { beforeAll, describe, expect, test } from "@jest/globals";
import type { AsteriskServerSpec } from "../../core/resource/index.ts";
import type { DeclaredConfFile } from "../../engine/desired.ts";
import { importServer } from "../../engine/import.ts";
import { DeclaredReconciler, declaredAccount, declaredFile } from "../support/declared.ts";
import { useLab } from "../support/lab.ts";

const lab = useLab();
let server: DeclaredReconciler;
const all = (): boolean => true;
const prune = { prune: true } as const;

beforeAll(async () => {
  server = await DeclaredReconciler.of(lab);
  for (const path of ["hidden.conf", "only-server.conf", "collected.conf", "includer.conf"])
    server.put("server", path, `[old]\nname = ${path}\n`);
  await server.import();
}, 600_000);

async function applied(spec: Partial<AsteriskServerSpec>, ...files: DeclaredConfFile[]): Promise<void> {
  server.files = files;
  const { outcome, refusals } = await server.apply({ spec });
  expect([outcome, refusals]).toEqual(["Applied", []]);
  const then = await server.snapshot();
  expect((await server.apply({ spec })).outcome).toBe("NothingToDo");
  expect(await server.snapshot()).toEqual(then);
}

const whole = (name: string, path: string, content: string, spec: object = {}): DeclaredConfFile =>
  declaredFile(name, { path, content, ...spec });

describe("a whole file", () => {
  test("hides the source's copy, which the plan says, and leaves it to it when it is withdrawn", async () => {
    const [path, old] = ["hidden.conf", "[old]\nname = hidden.conf\n"];
    server.files = [whole("q", path, "[mine]\n")];
    const planned = (await server.plan()).changes.find(({ change }) => change.path === path);
    expect(planned?.hides).toBe("ConfFile q");
    await applied({}, whole("q", path, "[mine]\n"));
    expect([server.text("server", path), server.text("source", path)]).toEqual(["[mine]\n", old]);
    expect((await server.hostRecord()).owners(path)).toEqual(["ConfFile q"]);

    await applied({}, whole("q", path, "[newer]\n"));
    expect(server.text("server", path)).toBe("[newer]\n");
    await applied({});
    expect([server.text("server", path), server.text("source", path)]).toEqual([old, old]);
    expect((await server.hostRecord()).owners(path)).toEqual([]);
  });

  test("drift is corrected to it, and another ConfFile's sections lie over it", async () => {
    const sections = declaredFile("over", {
      path: "both.conf",
      sections: [{ name: "mine", lines: "b = 2" }],
    });
    const content = whole("under", "both.conf", "[mine]\na = 1\n");
    await applied({}, content, sections);
    expect(server.text("server", "both.conf")).toBe("[mine]\na = 1\nb = 2\n");
    server.put("server", "both.conf", "[mine]\na = 2\nb = 2\n");
    await applied({}, content, sections);
    expect(server.text("server", "both.conf")).toBe("[mine]\na = 1\nb = 2\n");
    await applied(prune, content);
    expect(server.text("server", "both.conf")).toBe("[mine]\na = 1\n");
    expect(server.bytes("source", "both.conf")).toBeNull();
    await applied(prune);
    expect(server.bytes("server", "both.conf")).toBeNull();
  });

  test("what the server has is not taken into it, by a download or a choice", async () => {
    const content = whole("mine", "taken.conf", "[mine]\na = 1\n");
    await applied({}, content);
    server.put("server", "taken.conf", "[mine]\na = 2\n");
    for (const scope of ["all", "conflicts"] as const) {
      if (scope === "conflicts") server.files = [whole("mine", "taken.conf", "[mine]\na = 3\n")];
      const { outcome, refusals } = await server.apply({ take: { side: "server", scope, matches: all } });
      expect([outcome, refusals]).toEqual([
        "Refused",
        [
          expect.objectContaining({
            code: "Conflict",
            message: "the server's bytes can't be written into a ConfFile: taken.conf",
          }),
        ],
      ]);
    }
    expect(server.text("server", "taken.conf")).toBe("[mine]\na = 2\n");
    expect(server.bytes("source", "taken.conf")).toBeNull();
    await server.apply({ take: { side: "source", scope: "conflicts", matches: all } });
    await applied(prune);
  });

  test("of what only the server had, the bytes from before come back; with Retain its own stay", async () => {
    server.put("source", "only-server.conf", null);
    const take = { side: "source", scope: "conflicts", matches: all } as const;
    server.files = [whole("q", "only-server.conf", "[mine]\n")];
    const first = await server.apply({ take });
    expect(first.outcome).toBe("Applied");
    expect(server.text("server", "only-server.conf")).toBe("[mine]\n");
    server.files = [];
    const left = await server.apply();
    expect(left.plan.changes.map(({ change }) => change.kind)).toContain("Left");
    expect(server.text("server", "only-server.conf")).toBe("[mine]\n");
    await applied(prune);
    expect(server.text("server", "only-server.conf")).toBe("[old]\nname = only-server.conf\n");

    await applied(prune, whole("kept", "kept.conf", "[kept]\n"));
    await applied(prune, whole("kept", "kept.conf", "[kept]\n", { deletionPolicy: "Retain" }));
    server.files = [];
    expect((await server.apply({ spec: prune })).outcome).toBe("Applied");
    expect(server.text("server", "kept.conf")).toBe("[kept]\n");
    expect((await server.hostRecord()).owners("kept.conf")).toEqual([]);
  });

  test("one that another file includes by name is emptied, not removed", async () => {
    const part = declaredFile("part", { path: "part.conf", sections: [{ name: "x", lines: "a = 1" }] });
    await applied(prune, part);
    server.put("source", "includer.conf", "#include part.conf\n");
    await applied(prune, part);
    server.files = [];
    expect((await server.apply({ spec: prune })).outcome).toBe("Applied");
    expect(server.text("server", "part.conf")).toBe("");
  });
});

describe("refused", () => {
  const q = (name: string, spec: object): DeclaredConfFile =>
    declaredFile(name, { path: "queues.conf", ...spec });
  const mine = { sections: [{ name: "s", lines: "a = 1" }] };

  test.each<[string, Partial<AsteriskServerSpec>, DeclaredConfFile[], object]>([
    [
      "two wholes of one file",
      {},
      [q("a", { content: "x" }), q("b", { content: "x" })],
      {
        code: "OwnedTwice",
        message: "ConfFile a and ConfFile b both own the whole file in queues.conf",
      },
    ],
    [
      "two owners of one key",
      {},
      [q("a", mine), q("b", { sections: [{ name: "S", lines: "b = 1\nA = 2" }] })],
      {
        code: "OwnedTwice",
        message: expect.stringContaining("ConfFile a and ConfFile b both own"),
      },
    ],
    [
      "a key of a section that is another's",
      {},
      [q("a", mine), q("b", { sections: [{ name: "s", lines: "", exclusive: true }] })],
      {
        code: "OwnedTwice",
      },
    ],
    [
      "a path of which the server is the source of truth",
      { updateDirection: "FromAsterisk" },
      [q("a", mine)],
      {
        code: "DirectionRefused",
        message: "ConfFile a declares parts of queues.conf, but its updateDirection is FromAsterisk",
        hint: expect.stringContaining('{files: "queues.conf", updateDirection: ToAsterisk}'),
      },
    ],
    [
      "an unmanaged path",
      { rules: [{ files: "queues*", unmanaged: true }] },
      [q("a", mine)],
      {
        code: "DirectionRefused",
        message: expect.stringContaining("the rule queues* leaves it unmanaged"),
      },
    ],
    [
      "lines that are none",
      {},
      [q("a", { sections: [{ name: "s", lines: "a = 1\n[other]\nb = 1" }] })],
      {
        code: "ConfInvalid",
        message: expect.stringContaining("ConfFile a, section s"),
      },
    ],
  ])("%s", async (_, spec, files, error) => {
    server.files = files;
    const then = await server.snapshot();
    await expect(server.plan({ spec })).rejects.toMatchObject(error);
    await expect(server.apply({ spec })).rejects.toMatchObject(error);
    expect(await server.snapshot()).toEqual(then);
  });

  test("without a direction nothing is written, until there is one", async () => {
    server.files = [q("a", mine)];
    const { outcome, plan } = await server.apply({ spec: { updateDirection: undefined } as object });
    expect(outcome).toBe("Refused");
    expect(plan.changes).toContainEqual(
      expect.objectContaining({ change: { kind: "DirectionNotSet", path: "queues.conf" } }),
    );
  });
});

describe("a source that collects from the server", () => {
  const rules = [{ files: "manager.conf", updateDirection: "ToAsterisk" as const }];
  const spec = { updateDirection: "FromAsterisk" as const, rules };
  const secretOf = (): string => server.secret(lab, "crm");
  const expectClean = (): void => {
    for (const text of [
      server.text("source", "manager.conf"),
      server.text("source", ".asterisk-iac/collected.json"),
    ])
      expect(text ?? "").not.toMatch(/crm/);
  };

  test("a rule lets the account's file go the other way; the source gets no key of it, however it is asked", async () => {
    server.files = [];
    server.accounts = [declaredAccount("crm")];
    const shipped = server.text("source", "manager.conf");
    await expect(server.apply({ spec: { updateDirection: "FromAsterisk" } })).rejects.toMatchObject({
      code: "DirectionRefused",
    });
    server.put("server", "collected.conf", "[collected]\n");
    const result = await server.apply({ spec });
    expect(result.outcome).toBe("Applied");
    expect(server.text("server", "manager.conf")).toContain(`[crm]\nsecret = ${secretOf()}\n`);
    expect(server.text("source", "collected.conf")).toBe("[collected]\n");
    expect(server.text("source", "manager.conf")).toBe(shipped);

    // Collected by hand, with an edit beside the account.
    const edited = `; by hand\n${server.text("server", "manager.conf") ?? ""}`;
    server.put("server", "manager.conf", edited);
    const download = await server.apply({ spec, take: { side: "server", scope: "all", matches: all } });
    expect(download.outcome).toBe("Applied");
    expect(server.text("source", "manager.conf")).toBe(`; by hand\n${shipped ?? ""}`);
    expectClean();

    await server.withPass((pass) => importServer(pass, { again: true }), { spec, importing: true });
    expectClean();
    expect(server.text("server", "manager.conf")).toBe(edited);
    expect((await server.plan({ spec })).changes.filter(({ change }) => change.kind !== "Unmanaged")).toEqual(
      [],
    );
  });

  test("an import from nothing leaves the account out, too", async () => {
    const elsewhere = server.declaredElsewhere({
      source: `${lab.directory}/elsewhere`,
      secrets: `${lab.directory}/secrets`,
    });
    await elsewhere.import();
    const text = elsewhere.bytes("source", "manager.conf")?.toString() ?? "";
    expect(text).toContain("; by hand\n");
    expect(text).not.toContain("crm");
  });
});
