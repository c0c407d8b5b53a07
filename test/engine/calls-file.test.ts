import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CallsFile } from "../../engine/calls/calls-file.ts";
import type { ToldLine } from "../../engine/calls/lines.ts";

let directory: string;
let path: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "asterisk-iac-calls-"));
  path = join(directory, "calls.jsonl");
});
afterEach(() => rm(directory, { recursive: true, force: true }));

function call(server: string, recordedAt: string, ...uniqueIDs: string[]): ToldLine {
  return { kind: "Call", server, uniqueIDs, recordedAt } as unknown as ToldLine;
}

async function written(...lines: ToldLine[]): Promise<void> {
  const file = await CallsFile.open(path);
  for (const line of lines) await file.append(line);
  await file.close();
}

test("a new file has no position, and nobody else may read it", async () => {
  const file = await CallsFile.open(path);
  expect(file.position("pbx1")).toBeUndefined();
  await file.close();
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test("each server has its own position, and knows what was told of late", async () => {
  await written(
    call("pbx1", "2026-11-22T10:00:00.000Z", "1.1"),
    call("pbx2", "2026-11-22T10:00:01.000Z", "2.1"),
    call("pbx1", "2026-11-22T10:09:00.000Z", "1.2", "1.3"),
    call("pbx1", "2026-11-22T10:10:00.000Z", "1.4"),
  );
  const file = await CallsFile.open(path);
  expect(file.position("pbx1")).toEqual({
    since: Date.parse("2026-11-22T10:10:00Z") * 1000,
    watchedFrom: Date.parse("2026-11-22T09:59:59Z") * 1000,
    uniqueIDs: ["1.4", "1.2", "1.3"],
  });
  expect(file.position("pbx2")?.uniqueIDs).toEqual(["2.1"]);
  expect(file.position("pbx3")).toBeUndefined();
  await file.close();
});

describe("a watch that was killed", () => {
  test.each([
    "{",
    '{"kin',
    '{"kind":"Call","server":"pbx1","uniqueIDs":["9.9"],"recordedAt":"2026-11-22T10:30:00.000Z"}',
  ])("left %s without an end: it is taken off, and what follows is whole", async (torn) => {
    await written(call("pbx1", "2026-11-22T10:00:00.000Z", "1.1"));
    await appendFile(path, torn);
    await written(call("pbx1", "2026-11-22T10:01:00.000Z", "1.2"));
    const lines = (await readFile(path, "utf8")).trim().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { uniqueIDs: string[] }).uniqueIDs)).toEqual([
      ["1.1"],
      ["1.2"],
    ]);
  });
});

test.each(["exten => 100,1,Answer()\n", "exten => 100,1,Answer()", '{"name": "something else"}\n'])(
  "a file of something else (%p) is refused, and left as it is",
  async (text) => {
    await writeFile(path, text);
    await expect(CallsFile.open(path)).rejects.toMatchObject({ code: "RecordInvalid" });
    expect(await readFile(path, "utf8")).toBe(text);
  },
);

test("two watches never write to one file", async () => {
  const first = await CallsFile.open(path);
  await expect(CallsFile.open(path)).rejects.toMatchObject({ code: "WriteInProgress" });
  await first.close();
  await (await CallsFile.open(path)).close();
});
