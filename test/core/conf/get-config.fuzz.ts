import { describe, expect, test } from "@jest/globals";
import { compareGenerated, openSession } from "../../support/compare-with-asterisk.ts";
import { type LabServer, useLab } from "../../support/lab.ts";

describe.each([22, 16] as const)("Asterisk %i reads what we read", (asterisk) => {
  const lab = useLab({ asterisk });

  test("in 50,000 generated files, others each time; the seed is in the message", async () => {
    const session = await openSession(lab.servers[0]);
    const server = lab.servers[0] as LabServer;
    for (let round = 0; round < 10; round++) {
      const seed = Math.floor(Math.random() * 2 ** 31);
      const seen = await compareGenerated(server, session, asterisk, { count: 5_000, seed });
      expect(seen.valid).toBeGreaterThan(2_500);
    }
    session.close();
  });
});
