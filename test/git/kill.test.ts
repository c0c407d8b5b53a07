import { expect, test } from "@jest/globals";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { GitRepository } from "../../git/repository.ts";
import { git, useGitServer } from "../support/git-server.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const server = useGitServer();
const worker = join(import.meta.dirname, "../support/git-worker.ts");

interface Kill {
  /** After which of its steps, counted from 1, and how long after it. Milliseconds. */
  readonly after: "fetch" | "commit" | "push";
  readonly milliseconds: number;
  /** Our process alone, or the gits that it runs, too. */
  readonly what: "process" | "group";
}

const kills: readonly Kill[] = (["process", "group"] as const).flatMap((what) =>
  (["fetch", "commit", "push"] as const).flatMap((after) =>
    [0, 60].map((milliseconds) => ({ after, milliseconds, what })),
  ),
);

/** Everything of a cache that only a run under way may have. */
function leftovers(directory: string): string[] {
  const names = readdirSync(directory, { recursive: true }).map(String);
  return names.filter((name) => /\.lock$|(^|\/)access-|fast_import_crash/.test(name));
}

test("a run that is killed at any point of a fetch or a push leaves a whole repository and a cache that goes on (row 26)", async () => {
  const outcomes = await Promise.all(
    kills.map(async ({ after, milliseconds, what }, at) => {
      const remote = await server.createRepository(`killed-${at}`);
      const cacheDirectory = temporaryDirectory();
      const { httpURL: url, token: password } = remote;
      const child = spawn(process.execPath, [worker], {
        detached: true,
        stdio: ["ignore", "pipe", "inherit"],
        env: { ...process.env, WORKER: JSON.stringify({ url, password, cacheDirectory }) },
      });
      const ended = once(child, "exit");
      let rounds = 0;
      for await (const line of createInterface(child.stdout)) {
        // The first round makes the cache, and the branch.
        if (line === "fetch") rounds++;
        if (rounds === 2 && line === after) break;
      }
      await delay(milliseconds);
      process.kill(what === "group" ? -(child.pid ?? 0) : (child.pid ?? 0), "SIGKILL");
      await ended;
      const repository = new GitRepository(
        { url, reader: "", credentials: () => Promise.resolve({ password }) },
        { cacheDirectory, deadlineMs: 30_000 },
      );
      const tip = await repository.fetch("main");
      const commit = await repository.objects.commit({
        base: tip,
        parents: tip === undefined ? [] : [tip],
        changes: new Map([["pbx1/after", Buffer.from("after")]]),
        message: "after",
        author: { name: "a", email: "b" },
      });
      const pushed = await repository.push(commit, "main");
      await git(remote.directory, "fsck", "--full", "--strict");
      await git(repository.objects.directory, "fsck", "--full", "--strict");
      return { pushed, head: (await remote.head()) === commit, left: leftovers(cacheDirectory) };
    }),
  );
  for (const outcome of outcomes) expect(outcome).toEqual({ pushed: "Pushed", head: true, left: [] });
});
