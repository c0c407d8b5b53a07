import { describe, expect, test } from "@jest/globals";
import { mentionedIn, References } from "../../operator/references.ts";
import { Consulted, Remembered } from "../../operator/remembered.ts";
import type { Secret } from "../../operator/runtime/index.ts";

/** An API server, and what a cache of its metadata knows so far. */
function cluster(stored: Record<string, Secret> = {}) {
  const known = new Map<string, string>();
  const reads: string[] = [];
  const reader = {
    get: (_: string, name: string) => {
      reads.push(name);
      return Promise.resolve(stored[name]);
    },
  };
  const remembered = new Remembered<Secret>(reader, { resourceVersionOf: (key) => known.get(key) });
  const put = (
    name: string,
    resourceVersion: string,
    data: Record<string, string> = { password: "bm8=" },
  ) => {
    stored[name] = { metadata: { namespace: "team", name, resourceVersion }, data };
  };
  return { stored, known, reads, remembered, put };
}

describe("a Secret that was read", () => {
  test("is not read again while the cache has no newer version", async () => {
    const { known, reads, remembered, put } = cluster();
    put("ami", "7");
    known.set("team/ami", "7");
    expect(await remembered.get("team", "ami")).toEqual(await remembered.get("team", "ami"));
    expect(reads).toEqual(["ami"]);
  });

  test("and that the cache is behind of is not read again either", async () => {
    const { known, reads, remembered, put } = cluster();
    put("ami", "10");
    known.set("team/ami", "9");
    await remembered.get("team", "ami");
    await remembered.get("team", "ami");
    expect(reads).toEqual(["ami"]);
  });

  test("is read again once the cache knows a newer version, or knows it no more", async () => {
    const { known, reads, remembered, put } = cluster();
    put("ami", "9");
    known.set("team/ami", "9");
    await remembered.get("team", "ami");
    put("ami", "10", { password: "bmV3" });
    known.set("team/ami", "10");
    expect((await remembered.get("team", "ami"))?.data).toEqual({ password: "bmV3" });
    known.delete("team/ami");
    await remembered.get("team", "ami");
    expect(reads).toEqual(["ami", "ami", "ami"]);
  });

  test("is not kept where it is large", async () => {
    const { known, reads, remembered, put } = cluster();
    put("large", "1", { import: "x".repeat(20_000) });
    known.set("team/large", "1");
    await remembered.get("team", "large");
    await remembered.get("team", "large");
    expect(reads).toEqual(["large", "large"]);
  });
});

describe("row 30: what a pass was made from", () => {
  test("is asked of the API server itself before a write, whatever the cache says", async () => {
    const { known, remembered, put } = cluster();
    put("ami", "7");
    known.set("team/ami", "7");
    const pass = new Consulted(remembered);
    await pass.get("team", "ami");
    expect(await pass.isUnchanged()).toBe(true);
    put("ami", "8");
    expect(await pass.isUnchanged()).toBe(false);
  });

  test("counts what was remembered of it elsewhere, and what was not there", async () => {
    const { known, stored, remembered, put } = cluster();
    put("pbx1-import", "3");
    known.set("team/pbx1-import", "3");
    const pass = new Consulted(remembered);
    expect(pass.isCurrent("team", "pbx1-import", "3")).toBe(true);
    expect(await pass.get("team", "none")).toBeUndefined();
    expect(await pass.isUnchanged()).toBe(true);
    put("none", "4");
    expect(await pass.isUnchanged()).toBe(false);
    delete stored["none"];
    delete stored["pbx1-import"];
    expect(await pass.isUnchanged()).toBe(false);
  });

  test("goes on from what the pass itself wrote", async () => {
    const { known, stored, remembered, put } = cluster();
    put("ami", "7");
    known.set("team/ami", "7");
    const pass = new Consulted(remembered);
    await pass.get("team", "ami");
    put("ami", "8");
    pass.wrote(stored["ami"] as Secret);
    expect(await pass.isUnchanged()).toBe(true);
  });
});

describe("who is told of a Secret", () => {
  test("is whoever names it in a reference or in a text, as long as it does", () => {
    const of = (spec: object) =>
      mentionedIn({ kind: "ConfFile", metadata: { namespace: "team", name: "trunk" }, spec } as never);
    expect(of({ serverRef: { name: "pbx1" }, content: "secret = @{secret:provider/password}\n" })).toEqual(
      new Set(["team/trunk", "team/pbx1", "team/provider"]),
    );
    const references = new References();
    references.set("ConfFile team/trunk", new Set(["team/provider"]), "team/pbx1");
    references.set("ConfFile team/other", new Set(["team/provider"]), "team/pbx1");
    references.set("AsteriskServer team/pbx2", new Set(["team/provider", "team/ssh"]), "team/pbx2");
    expect(references.to("team/provider")).toEqual(new Set(["team/pbx1", "team/pbx2"]));
    references.set("AsteriskServer team/pbx2", new Set(["team/ssh"]), "team/pbx2");
    references.delete("ConfFile team/other");
    expect(references.to("team/provider")).toEqual(new Set(["team/pbx1"]));
    references.delete("ConfFile team/trunk");
    expect(references.to("team/provider")).toEqual(new Set());
  });
});
