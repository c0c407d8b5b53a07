import { describe, expect, test } from "@jest/globals";
import { killEverywhere } from "./kill-points.ts";
import { KillScenario } from "./kill-scenario.ts";
import { useLab } from "./lab.ts";

/** Declares the tests that end an apply and a download, in both ways, at every `stride`-th of their steps. */
export function describeKills(stride: number): void {
  const lab = useLab({ count: 3 });

  describe.each([["apply"], ["download"]] as const)("%s", (way) => {
    test.each([["SIGKILL"], ["cut"]] as const)(
      "%s at any step: the next run ends with both sides as they should be",
      async (how) => {
        const scenarios = await Promise.all(
          lab.servers.map((server) => KillScenario.prepare(way, server, lab.directory)),
        );
        const { steps, kills, found } = await killEverywhere(scenarios, how, stride);
        // Two runs differ by a few steps: how the bytes come in is the network's.
        expect(kills).toBeGreaterThanOrEqual(Math.floor(steps / stride) - 1);
        expect(steps).toBeGreaterThan(200);
        expect(found.old + found.new + found.between).toBe(kills);
        expect(found.old).toBeGreaterThan(0);
        // A sample may miss the few steps behind the last file.
        if (stride <= 10) expect(found.new).toBeGreaterThan(0);
      },
      3_600_000,
    );
  });
}
