import { describe, expect, test } from "@jest/globals";
import { hideDeclaredSecrets } from "../../../core/difference/hide.ts";
import { rulesToShowWith } from "../../../core/resource/secret-keys.ts";
import { difference } from "../../support/views.ts";

const rules = rulesToShowWith([{ files: "acme*.conf", section: "line*", key: "unlock" }]);
const before = "[line1]\nunlock = 4711\nlabel = Lobby\n";

function shown(after: string): string {
  return JSON.stringify(hideDeclaredSecrets([difference("acme.conf", before, after)], rules));
}

describe("keys that only the declaration knows for secrets", () => {
  test("lose their values where they change, come and go", () => {
    for (const after of [
      before.replace("4711", "0815"),
      "",
      `${before}[line2]\nunlock = 0815\nlabel = Gate\n`,
    ]) {
      expect(JSON.stringify(difference("acme.conf", before, after))).toMatch(/4711|0815/);
      expect(shown(after)).toContain('"secret":true');
      expect(shown(after)).not.toMatch(/4711|0815/);
    }
  });

  test("leave what is no secret as it is", () => {
    const after = before.replace("Lobby", "Hall");
    expect(shown(after)).toBe(JSON.stringify([difference("acme.conf", before, after)]));
  });

  test("are not looked for where none are declared", () => {
    const differences = [difference("acme.conf", before, "")];
    expect(hideDeclaredSecrets(differences, rulesToShowWith())).toBe(differences);
  });
});
