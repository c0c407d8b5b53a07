import { expect, test } from "@jest/globals";
import { filesOf } from "../../core/conf/index.ts";
import { includeGraph } from "../../core/graph.ts";

function graphOf(files: Record<string, string>) {
  const contents = new Map(Object.entries(files).map(([path, text]) => [path, Buffer.from(text)]));
  return includeGraph(filesOf(contents), contents.keys());
}

test("a fragment belongs to the root that includes it, through others and through patterns", () => {
  const graph = graphOf({
    "manager.conf": '[general]\n#include "manager.d/*.conf"\n',
    "manager.d/crm.conf": "#include crm_extra.inc\n",
    "manager.d/wallboard.conf": "[wallboard]\n",
    "crm_extra.inc": "[crm]\n",
    "queues.conf": "[sales]\n",
  });
  expect(graph.roots).toEqual(["manager.conf", "queues.conf"]);
  expect(graph.rootsOf("manager.d/crm.conf")).toEqual(["manager.conf"]);
  expect(graph.rootsOf("crm_extra.inc")).toEqual(["manager.conf"]);
  expect(graph.rootsOf("queues.conf")).toEqual(["queues.conf"]);
  expect(graph.view("manager.conf").sections.map(({ name }) => name)).toEqual([
    "general",
    "crm",
    "wallboard",
  ]);
});

test("a fragment of two roots belongs to both; a root that another includes stays one", () => {
  const graph = graphOf({
    "sip.conf": "[general]\n#include nat.conf\n",
    "iax.conf": "[general]\n#include nat.conf\n",
    "nat.conf": "localnet=10.0.0.0/8\n",
    "extensions.conf": "#include extensions_minivm.conf\n",
    "extensions_minivm.conf": "[minivm]\n",
  });
  expect(graph.rootsOf("nat.conf")).toEqual(["iax.conf", "sip.conf"]);
  expect(graph.rootsOf("extensions_minivm.conf")).toEqual(["extensions.conf", "extensions_minivm.conf"]);
});

test("a file that no known root includes is its own; what is not .conf and not included has none", () => {
  const graph = graphOf({
    "mine.conf": "[x]\n#include part.conf\n",
    "part.conf": "[y]\n",
    "circle1.conf": "[x]\n#tryinclude circle2.conf\n",
    "circle2.conf": "[x]\n#tryinclude circle1.conf\n",
    "extensions.ael": "context x {}\n",
    pinset_1: "",
  });
  expect(graph.roots).toEqual(["circle1.conf", "mine.conf"]);
  expect(graph.rootsOf("part.conf")).toEqual(["mine.conf"]);
  expect(graph.rootsOf("circle2.conf")).toEqual(["circle1.conf"]);
  expect(graph.rootsOf("extensions.ael")).toEqual([]);
  expect(graph.rootsOf("pinset_1")).toEqual([]);
});

test("an include of what is not there yet makes no root of it", () => {
  const graph = graphOf({ "pjsip.conf": "#tryinclude pjsip_custom.conf\n[a]\n" });
  expect(graph.roots).toEqual(["pjsip.conf"]);
  expect(graph.rootsOf("pjsip_custom.conf")).toEqual([]);
});
