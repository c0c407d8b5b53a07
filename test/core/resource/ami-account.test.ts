import { expect, test } from "@jest/globals";
import { z } from "zod";
import { amiAccount } from "../../../core/resource/index.ts";
import { accountOf, manifestOf } from "../accounts/support.ts";

test("what is not declared is as Asterisk has it, and closed", () => {
  const { spec } = accountOf({ read: undefined, write: undefined });
  expect(spec).toMatchObject({
    read: [],
    write: [],
    deny: ["0.0.0.0/0", "::/0"],
    allowMultipleLogin: true,
    displayConnects: true,
    writeTimeout: "100ms",
    eventFilters: [],
    variables: {},
    deletionPolicy: "Restore",
  });
  expect(spec).toMatchObject({ allowAnyAddress: false, allowWeakSecret: false, allowPlaintext: false });
});

test.each(["5s", "100ms", "0.1s", "1m30s"])("writeTimeout may be %s", (writeTimeout) => {
  expect(accountOf({ writeTimeout }).spec.writeTimeout).toBe(writeTimeout);
});

test.each(["crm", "CRM_1", "a.b-c@d+e", "1000", "a".repeat(79)])(
  "an account may be called %s",
  (username) => {
    expect(accountOf({ username }).spec.username).toBe(username);
  },
);

test("no message says what is in a variable", () => {
  const parsed = amiAccount.safeParse(manifestOf({ variables: { TOKEN: "canary\n", "B;": "canary" } }));
  expect(parsed.error?.issues).toHaveLength(2);
  expect(JSON.stringify(parsed.error?.issues)).not.toContain("canary");
});

// Kubernetes' structural schemas have one type at each place.
test("the schema is structural, and every field of the spec is described", () => {
  const schema = z.toJSONSchema(amiAccount, { io: "input" });
  expect(JSON.stringify(schema)).not.toMatch(/"(anyOf|oneOf|allOf|not)":/);
  const properties = (schema.properties?.["spec"] as { properties: Record<string, { description?: string }> })
    .properties;
  for (const [name, { description }] of Object.entries(properties)) {
    expect([name, description]).toEqual([name, expect.stringMatching(/\.$/)]);
  }
});
