import { describe, expect, test } from "@jest/globals";
import { AsteriskIacError } from "../../core/errors.ts";
import { runFleet } from "../../engine/fleet.ts";

const servers = (count: number): { name: string }[] =>
  Array.from({ length: count }, (_, index) => ({ name: `pbx${index + 1}` }));

describe("a run over a fleet", () => {
  test("gives the results in the order of the servers, each as it ended", async () => {
    const results = await runFleet(servers(3), ({ name }) =>
      name === "pbx2" ? Promise.reject(new AsteriskIacError("Unreachable", "gone")) : Promise.resolve(name),
    );
    expect(results).toMatchObject([
      { server: "pbx1", ok: true, value: "pbx1" },
      { server: "pbx2", ok: false, error: { code: "Unreachable", where: { server: "pbx2" } } },
      { server: "pbx3", ok: true },
    ]);
  });

  test("never works on more than so many at the same time", async () => {
    let now = 0;
    let most = 0;
    await runFleet(
      servers(40),
      async () => {
        most = Math.max(most, ++now);
        await new Promise(setImmediate);
        now -= 1;
      },
      { concurrency: 4 },
    );
    expect(most).toBe(4);
  });

  test("does not wait for those that hang: the rest goes on beside them (row 38)", async () => {
    const hanging = Promise.withResolvers<string>();
    const finished: string[] = [];
    const allOthers = Promise.withResolvers<undefined>();
    const run = runFleet(
      servers(12),
      ({ name }) => (Number(name.slice(3)) <= 4 ? hanging.promise : Promise.resolve(name)),
      {
        concurrency: 4,
        patienceMs: 5,
        onResult: ({ server }) => {
          finished.push(server);
          if (finished.length === 8) allOthers.resolve(undefined);
        },
      },
    );
    await allOthers.promise;
    expect(finished).toEqual(
      servers(12)
        .slice(4)
        .map(({ name }) => name),
    );
    hanging.resolve("late");
    expect(await run).toHaveLength(12);
  });
});
