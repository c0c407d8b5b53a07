import { describe, expect, test } from "@jest/globals";
import type { Section } from "../../core/conf/index.ts";
import { effectiveView, filesOf } from "../../core/conf/index.ts";
import type { LiveModules, ReloadInput, ViewChange } from "../../core/reloads.ts";
import { changedSettings, planReloads } from "../../core/reloads.ts";

const live = (over: Partial<LiveModules> = {}): LiveModules => ({
  loaded: new Set(["manager", "pbx_config.so", "app_queue.so", "res_pjsip.so", "logger", "acl", "features"]),
  readBy: new Map(),
  mappings: [],
  ...over,
});

/** Each path is its own root. */
const plan = (changed: string[], over: Partial<ReloadInput> = {}) =>
  planReloads({ changed, roots: (path) => [path], live: live(), ...over });

const sections = (text: string): readonly Section[] =>
  effectiveView("x.conf", filesOf(new Map([["x.conf", Buffer.from(text)]]))).sections;

const view = (root: string, before: string, after: string): ReadonlyMap<string, ViewChange> =>
  new Map([[root, { before: sections(before), after: sections(after) }]]);

describe("which reloads", () => {
  test("one a module however many files changed, in a fixed order: AMI last", () => {
    const { reloads, restarts, notLoaded } = plan([
      "queues.conf",
      "manager.conf",
      "queuerules.conf",
      "acl.conf",
    ]);
    expect(reloads).toEqual([
      { module: "acl", because: ["acl.conf"] },
      { module: "app_queue.so", because: ["queuerules.conf", "queues.conf"] },
      { module: "manager", because: ["manager.conf"] },
    ]);
    expect({ restarts, notLoaded }).toEqual({ restarts: [], notLoaded: [] });
  });

  test("the order does not depend on the order of the changes", () => {
    const changed = ["queues.conf", "manager.conf", "acl.conf", "pjsip.conf", "extensions.conf"];
    expect(plan(changed.toReversed())).toEqual(plan(changed));
  });

  test("pjsip.conf: res_pjsip first, then those of its readers that are loaded", () => {
    const loaded = new Set([
      "res_pjsip.so",
      "res_pjsip_outbound_registration.so",
      "res_pjsip_endpoint_identifier_ip.so",
      "res_pjsip_session.so",
      "app_queue.so",
    ]);
    const { reloads } = plan(["queues.conf", "pjsip.conf"], { live: live({ loaded }) });
    expect(reloads.map(({ module }) => module)).toEqual([
      "res_pjsip.so",
      "app_queue.so",
      "res_pjsip_endpoint_identifier_ip.so",
      "res_pjsip_outbound_registration.so",
    ]);
  });

  test("a fragment reloads whatever reads its roots, once", () => {
    const roots = () => ["extensions.conf", "queues.conf"];
    const { reloads } = plan(["shared.conf", "shared2.conf"], { roots });
    expect(reloads).toEqual([
      { module: "app_queue.so", because: ["shared.conf", "shared2.conf"] },
      { module: "pbx_config.so", because: ["shared.conf", "shared2.conf"] },
    ]);
  });

  test("a file that nothing includes needs none, and says so", () => {
    expect(plan(["notes.conf"], { roots: () => [] })).toEqual({
      reloads: [],
      restarts: [],
      notLoaded: [{ path: "notes.conf", why: "no file that Asterisk reads includes it" }],
    });
  });

  test("a file whose module is not loaded needs none, and says which", () => {
    const { reloads, notLoaded } = plan(["iax.conf", "sla.conf", "unheard-of.conf"]);
    expect(reloads).toEqual([]);
    expect(notLoaded).toEqual([
      { path: "iax.conf", why: "chan_iax2.so would read iax.conf and is not loaded" },
      { path: "sla.conf", why: "one of app_meetme.so, app_sla.so would read sla.conf and is not loaded" },
      { path: "unheard-of.conf", why: "no loaded module is known to read unheard-of.conf" },
    ]);
  });

  test("extensions.ael and extensions.lua have modules of their own", () => {
    const loaded = new Set(["pbx_ael.so", "pbx_lua.so", "pbx_config.so"]);
    const { reloads } = plan(["extensions.lua", "extensions.ael"], { live: live({ loaded }) });
    expect(reloads.map(({ module }) => module)).toEqual(["pbx_ael.so", "pbx_lua.so"]);
  });

  test("backends of CDR and CEL are named like their files", () => {
    const loaded = new Set(["cdr_custom.so", "cdr"]);
    const { reloads, notLoaded } = plan(["cdr_custom.conf", "cel_odbc.conf"], { live: live({ loaded }) });
    expect(reloads).toEqual([{ module: "cdr_custom.so", because: ["cdr_custom.conf"] }]);
    expect(notLoaded).toEqual([
      { path: "cel_odbc.conf", why: "cel_odbc.so would read cel_odbc.conf and is not loaded" },
    ]);
  });

  test("cli_permissions.conf is reloaded by a command, for AMI has no way", () => {
    expect(plan(["cli_permissions.conf"]).reloads).toEqual([
      { module: "cli", command: "cli reload permissions", because: ["cli_permissions.conf"] },
    ]);
  });

  test("what Asterisk itself says counts too: a third party's module, and a name that it cut", () => {
    const loaded = new Set(["app_vendor.so", "res_vendor_with_a_long_name.so", "manager"]);
    const readBy = new Map([
      ["vendor.conf", ["app_vendor"]],
      ["long.conf", ["res_vendor_with_a_lo"]],
      ["manager.d/users.conf", ["manager"]],
    ]);
    const changed = [...readBy.keys()];
    const roots = (path: string) => (path.startsWith("manager.d/") ? [] : [path]);
    expect(
      plan(changed, { roots, live: live({ loaded, readBy }) }).reloads.map(({ module }) => module),
    ).toEqual(["app_vendor.so", "res_vendor_with_a_long_name.so", "manager"]);
  });

  test("a cut name that fits several modules, or is none, says nothing", () => {
    const loaded = new Set(["res_vendor_with_a_long_name.so", "res_vendor_with_a_longer_name.so"]);
    const readBy = new Map([["long.conf", ["res_vendor_with_a_lo", "core", "eee570f7-0ee0-4885-b"]]]);
    expect(plan(["long.conf"], { live: live({ loaded, readBy }) })).toMatchObject({
      reloads: [],
      notLoaded: [{ path: "long.conf", why: "no loaded module is known to read long.conf" }],
    });
  });

  test("a file that a database stands in for is not read at all", () => {
    const mappings = [{ name: "queues.conf", driver: "odbc", database: "asterisk", table: "ast_config" }];
    const { reloads, notLoaded } = plan(["queues.conf"], { live: live({ mappings }) });
    expect(reloads).toEqual([]);
    expect(notLoaded).toEqual([
      {
        path: "queues.conf",
        why: "extconfig.conf maps queues.conf to a database (odbc, database asterisk, table ast_config): the file is not read",
      },
    ]);
  });
});

describe("what needs a restart", () => {
  test.each(["asterisk.conf", "cli.conf", "modules.conf", "stasis.conf", "sorcery.conf", "ccss.conf"])(
    "%s is named and never reloaded, whoever has read it",
    (path) => {
      const readBy = new Map([[path, ["manager"]]]);
      const { reloads, restarts, notLoaded } = plan([path], { live: live({ readBy }) });
      expect(reloads).toEqual([]);
      expect(restarts).toEqual([{ path, what: expect.any(String) as unknown }]);
      expect(notLoaded).toEqual([]);
    },
  );

  test("the settings that change are named, never their values", () => {
    const views = view("asterisk.conf", "[options]\nverbose=3\ndebug=1\n", "[options]\nverbose=5\ndebug=1\n");
    expect(plan(["asterisk.conf"], { views }).restarts).toEqual([
      {
        path: "asterisk.conf",
        what: "Asterisk's own options and directories",
        settings: ["[options] verbose"],
      },
    ]);
  });

  test("a comment in asterisk.conf needs neither", () => {
    const views = view(
      "asterisk.conf",
      "[options]\nverbose=3\n",
      "; more\n[options]\nverbose = 3 ; the same\n",
    );
    expect(plan(["asterisk.conf"], { views })).toEqual({
      reloads: [],
      restarts: [],
      notLoaded: [
        { path: "asterisk.conf", why: "asterisk.conf is read at start-up, and no setting changes" },
      ],
    });
  });

  test("pjproject.conf: the log mappings reload, [startup] does not", () => {
    const loaded = new Set(["res_pjproject.so"]);
    const startup = view("pjproject.conf", "", "[startup]\nlog_level=2\n");
    expect(plan(["pjproject.conf"], { live: live({ loaded }), views: startup })).toMatchObject({
      reloads: [{ module: "res_pjproject.so" }],
      restarts: [{ path: "pjproject.conf", settings: ["[startup] log_level"] }],
    });
    const mappings = view("pjproject.conf", "", "[log_mappings]\ntype=log_mappings\n");
    expect(plan(["pjproject.conf"], { live: live({ loaded }), views: mappings }).restarts).toEqual([]);
  });

  const transport = (more: string) => `[udp]\ntype=transport\nprotocol=udp\nbind=0.0.0.0\n${more}`;

  test.each([
    ["a transport that changes", transport(""), transport("tos=cs3\n"), ["[udp] tos"]],
    ["a transport that goes away", transport(""), "", undefined],
    ["type=system", "[s]\ntype=system\ntimer_t1=500\n", "[s]\ntype=system\ntimer_t1=600\n", ["[s] timer_t1"]],
    ["a new type=system", "", "[s]\ntype=system\n", ["[s] type"]],
  ])("PJSIP: %s", (_, before, after, settings) => {
    const { reloads, restarts } = plan(["pjsip.conf"], { views: view("pjsip.conf", before, after) });
    expect(reloads).toEqual([{ module: "res_pjsip.so", because: ["pjsip.conf"] }]);
    expect(restarts).toHaveLength(1);
    expect(restarts[0]?.settings).toEqual(settings);
  });

  test.each([
    ["a new transport", "", transport("")],
    [
      "a transport with allow_reload",
      transport("allow_reload=yes\n"),
      transport("allow_reload=yes\ntos=cs3\n"),
    ],
    ["a transport that stays", transport(""), `${transport("")}[100]\ntype=endpoint\n`],
    ["a template that nobody uses", "[t](!)\ntype=transport\n", "[t](!)\ntype=transport\ntos=cs3\n"],
  ])("PJSIP: %s needs none", (_, before, after) => {
    expect(plan(["pjsip.conf"], { views: view("pjsip.conf", before, after) }).restarts).toEqual([]);
  });

  test("settings that are given twice differ when their order does", () => {
    const [before, after] = [sections("[a]\ndeny=1\ndeny=2\n"), sections("[a]\ndeny=2\ndeny=1\n")];
    expect(changedSettings({ before, after })).toEqual(["[a] deny"]);
    expect(changedSettings({ before, after: before })).toEqual([]);
  });
});
