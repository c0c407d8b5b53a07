import { expect, test } from "@jest/globals";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openAudit } from "../../console/audit.ts";

test("what can't be written throws until it can, and then none of it is missing", () => {
  const directory = mkdtempSync(join(tmpdir(), "asterisk-iac-audit-"));
  const file = join(directory, "audit.jsonl");
  const descriptor = openSync("/dev/null", "r");
  const audit = openAudit(descriptor);
  const write = (line: string) => audit.write({ event: "command", outcome: "Sent", line });
  expect(() => write("one")).toThrow("The audit can't be written");
  expect(() => write("two")).toThrow("The audit can't be written");
  closeSync(descriptor);
  expect(openSync(file, "w")).toBe(descriptor);
  write("three");
  const lines = readFileSync(file, "utf8").trim().split("\n");
  expect(lines.map((text) => (JSON.parse(text) as { line: string }).line)).toEqual(["one", "two", "three"]);
  closeSync(descriptor);
  rmSync(directory, { recursive: true });
});
