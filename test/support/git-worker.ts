/**
 * Fetches, commits and pushes through our own cache until it is killed: WORKER is JSON with `url`, `password` and
 * `cacheDirectory`. Prints a line before each of the three.
 */
import { GitRepository } from "../../git/repository.ts";

const { url, password, cacheDirectory } = JSON.parse(process.env["WORKER"] ?? "{}") as Record<string, string>;
const repository = new GitRepository(
  { url: url ?? "", reader: "", credentials: () => Promise.resolve({ password: password ?? "" }) },
  { cacheDirectory: cacheDirectory ?? "", deadlineMs: 30_000 },
);
const author = { name: "asterisk-iac pbx1", email: "asterisk-iac@noreply.invalid" };

for (;;) {
  console.log("fetch");
  const tip = await repository.fetch("main");
  console.log("commit");
  const commit = await repository.objects.commit({
    base: tip,
    parents: tip === undefined ? [] : [tip],
    changes: new Map([["pbx1/time", Buffer.from(`${performance.now()}\n`.repeat(20_000))]]),
    message: "a change",
    author,
  });
  console.log("push");
  await repository.push(commit, "main");
}
