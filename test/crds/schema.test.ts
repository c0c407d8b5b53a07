import { expect, test } from "@jest/globals";
import { amiAccount, asteriskServer, confFile, mistakesOf } from "../../core/resource/index.ts";
import { accepted, refused, refusedInKubernetes } from "./judged.ts";
import type { Judged } from "./judged.ts";

const schemas = { AsteriskServer: asteriskServer, AMIAccount: amiAccount, ConfFile: confFile };

/** What a manifest's reader says of a spec; nothing of a good one. */
function messagesOf({ kind, spec }: Judged): string {
  const manifest = { apiVersion: "asterisk-iac.dev/v1alpha1", kind, metadata: { name: "one" }, spec };
  const { error } = schemas[kind].safeParse(manifest);
  return error === undefined
    ? ""
    : mistakesOf(error)
        .map(({ path, message }) => `${path.join(".")}: ${message}`)
        .join("\n");
}

test.each(refused)("$kind: $what is refused", (row) => {
  const messages = messagesOf(row);
  expect(messages).not.toBe("");
  expect(messages).toContain(typeof row.says === "string" ? row.says : row.says.parse);
});

test.each([...accepted, ...refusedInKubernetes])("$kind: $what is accepted", (row) => {
  expect(messagesOf(row)).toBe("");
});
