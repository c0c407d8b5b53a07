import { describe, expect, test } from "@jest/globals";
import { filesOf } from "../../../core/conf/document.ts";
import type { Diagnostic } from "../../../core/conf/lint.ts";
import { hideIn, hideQuotesOf, renderDiagnostic } from "../../../core/conf/lint.ts";
import { secretRules } from "../../../core/conf/secrets.ts";
import { declaredRules } from "../../../core/resource/secret-keys.ts";
import type { Texts } from "./lint-helpers.ts";
import { diagnoseAll } from "./lint-helpers.ts";

const declared = declaredRules([
  { files: "acl.conf", section: "another", key: "permit" },
  { files: "app/*.conf", key: "exten" },
]);

/** What lint says of the files, without what the declared rules hide, and its lines. */
function told(texts: Texts, rules = declared): { diagnostics: Diagnostic[]; rendered: string } {
  const files = filesOf(
    new Map(Object.entries(texts).map(([path, text]) => [path, Buffer.from(text, "latin1")])),
  );
  const hide = hideQuotesOf(Object.keys(texts), files, rules);
  const diagnostics = diagnoseAll(texts).map((diagnostic) => hideIn(diagnostic, hide));
  const rendered = diagnostics.map((diagnostic) => {
    const source = texts[diagnostic.file]?.split("\n")[diagnostic.line - 1] ?? "";
    return renderDiagnostic(diagnostic, source, { rules: [...secretRules, ...rules], shownAs: "shown.conf" });
  });
  return { diagnostics, rendered: rendered.join("\n") };
}

describe("what a declaration calls a secret", () => {
  test("is in no message and in no line", () => {
    const texts = { "acl.conf": "[office]\npermit=hunter2\n" };
    expect(told(texts, []).rendered).toContain('"hunter2" is no IP address');
    expect(told(texts).rendered).toBe(
      [
        'shown.conf:2:8: error: Asterisk refuses this permit, because "********" is no IP address. [acl-invalid]',
        "  2 | permit=*******",
        "    |        ^^^^^^^",
        "  fix: Write `address`, `address/bits` or `address/netmask`, separated by commas without blanks.",
      ].join("\n"),
    );
  });

  test.each([
    ["a part of it", "10.0.0.1,hunter2,::1"],
    ["one that is cut", `hunter2${"x".repeat(90)}`],
    ["quotes in it", 'a"hunter2"b'],
    ["a semicolon in it", "hunter2\\;x"],
    ["a byte that is no ASCII", "\xe9hunter2"],
    ["letters of several bytes", "\xc3\xa9hunter2"],
    ["what a terminal acts upon", "\x1bhunter2"],
  ])("is not quoted with %s", (_, value) => {
    const { diagnostics, rendered } = told({ "acl.conf": `[office]\npermit=${value}\n` });
    expect(diagnostics).toMatchObject([{ rule: "acl-invalid" }]);
    expect(JSON.stringify(diagnostics) + rendered).not.toMatch(/hunter2|\\;x|\x1b/);
  });

  test("is not quoted at another line, nor where another file reads it", () => {
    const { diagnostics } = told({
      "extensions.conf": "[a]\n#include app/b.conf\n",
      "app/b.conf": "exten = hunter2,1,NoOp()\nsame = 1,NoOp()\n",
    });
    expect(diagnostics).toMatchObject([{ rule: "priority-taken", line: 2 }]);
    expect(JSON.stringify(diagnostics)).not.toContain("hunter2");
  });

  test("hides nothing else", () => {
    const texts = {
      "acl.conf": "[office]\ndeny=nonsense\npermit=hunter2\n",
      "iax.conf": "[a]\npermit=other\n",
    };
    const { rendered } = told(texts);
    expect(rendered).toContain('"nonsense"');
    expect(rendered).toContain('"other"');
  });
});
