import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { compareGenerated, openSession, put, read } from "../../support/compare-with-asterisk.ts";
import { confCases } from "../../support/conf-cases.ts";
import { contentsOf, type GetConfigSession, toAnswer } from "../../support/get-config.ts";
import { type LabServer, useLab } from "../../support/lab.ts";

describe.each([22, 16] as const)("Asterisk %i reads what we read", (asterisk) => {
  const lab = useLab({ asterisk });
  let server: LabServer;
  let session: GetConfigSession;

  beforeAll(async () => {
    session = await openSession(lab.servers[0]);
    server = lab.servers[0] as LabServer;
  });
  afterAll(() => {
    session.close();
  });

  test("in every file of its distribution", async () => {
    const contents = new Map<string, Buffer>();
    const entries = await readdir(server.configDirectory, { recursive: true, withFileTypes: true });
    for (const entry of entries.filter((one) => one.isFile() && one.name.endsWith(".conf"))) {
      const path = join(entry.parentPath, entry.name);
      contents.set(relative(server.configDirectory, path), await readFile(path));
    }
    expect(contents.size).toBeGreaterThanOrEqual(100);
    const names = [...contents.keys()];
    const answers = await session.getConfig(names);
    for (const [index, name] of names.entries()) {
      const answer = toAnswer(read(name, contents, asterisk));
      expect({ name, answer }).toEqual({ name, answer: answers[index] });
    }
  });

  test("in every case that our tests know", async () => {
    const directories = confCases.map((_, index) => `cases/${index}`);
    for (const [index, { files }] of confCases.entries()) {
      await put(server, contentsOf(directories[index] as string, Object.entries(files)));
    }
    const answers = await session.getConfig(directories.map((path) => `${path}/root.conf`));
    for (const [index, { name, answer }] of confCases.entries()) {
      expect({ name, answer: answers[index] }).toEqual({ name, answer });
    }
  });

  test("in 4,000 generated files", async () => {
    const seen = await compareGenerated(server, session, asterisk, { count: 4_000, seed: asterisk });
    expect(seen.valid).toBeGreaterThan(2_000);
    expect(seen.leftOut).toBeLessThan(400);
  });
});
