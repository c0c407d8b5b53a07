import { expect, test } from "@jest/globals";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runCommand } from "../../lab/process.ts";
import { gitEnvironment } from "./git-transports.ts";
import { useGitServer, type GitRepository } from "./git-server.ts";
import { temporaryDirectory } from "./temporary.ts";

const server = useGitServer();

/** Runs git as a client that may use the network, in a fresh clone by `url`. */
async function cloneBy(repository: GitRepository, url: string) {
  const directory = temporaryDirectory();
  const [key, knownHosts] = [join(directory, "key"), join(directory, "known-hosts")];
  await writeFile(key, repository.privateKey, { mode: 0o600 });
  await writeFile(knownHosts, repository.knownHosts);
  const ssh = `ssh -F none -i ${key} -o IdentitiesOnly=yes -o UserKnownHostsFile=${knownHosts} -o StrictHostKeyChecking=yes`;
  const clone = join(directory, "clone");
  const run = (...args: string[]) =>
    runCommand(["git", "-c", "user.name=C", "-c", "user.email=c@example.com", ...args], {
      environment: { ...gitEnvironment, GIT_SSH_COMMAND: `${ssh} -o BatchMode=yes` },
    });
  return {
    cloned: await run("clone", "--quiet", url, clone),
    run: (...args: string[]) => run("-C", clone, ...args),
  };
}

test.each(["ssh", "http"] as const)(
  "a client clones and pushes over %s, and is counted",
  async (transport) => {
    const repository = await server.createRepository(`over-${transport}`);
    const person = await repository.clone();
    await person.push({ "a.conf": "[a]\n" });
    const withToken = repository.httpURL.replace("//", `//any:${repository.token}@`);
    const client = await cloneBy(repository, transport === "ssh" ? repository.sshURL : withToken);
    expect(client.cloned).toMatchObject({ code: 0, stderr: "" });
    expect((await client.run("commit", "--allow-empty", "-m", "mine")).code).toBe(0);
    expect(await client.run("push", "--quiet", "origin", "main")).toMatchObject({ code: 0 });
    expect(await repository.head()).toBe((await client.run("rev-parse", "HEAD")).stdout.trim());
    expect(await repository.read("a.conf")).toBe("[a]\n");
    const asked = (await server.requests()).filter((each) => each.repository === `over-${transport}`);
    expect(asked).toEqual([
      { transport, operation: "fetch", repository: `over-${transport}` },
      { transport, operation: "push", repository: `over-${transport}` },
    ]);
  },
);

test("a wrong token and an unknown host key are refused", async () => {
  const repository = await server.createRepository("refused");
  const wrong = await cloneBy(repository, repository.httpURL.replace("//", "//any:wrong@"));
  expect(wrong.cloned.stderr).toContain("Authentication failed");
  const unknown = await cloneBy({ ...repository, knownHosts: "" }, repository.sshURL);
  expect(unknown.cloned.stderr).toContain("Host key verification failed");
});

test.each(["ssh", "http"] as const)("a push over %s is overtaken by another", async (transport) => {
  const repository = await server.createRepository(`overtaken-${transport}`);
  await (await repository.clone()).push({ "a.conf": "[a]\n" });
  const withToken = repository.httpURL.replace("//", `//any:${repository.token}@`);
  const client = await cloneBy(repository, transport === "ssh" ? repository.sshURL : withToken);
  await client.run("commit", "--allow-empty", "-m", "mine");
  const other = await repository.commitBeforeNextPush({ "b.conf": "[b]\n" });
  const push = await client.run("push", "origin", "main");
  expect(push.stderr).toContain("[rejected]        main -> main (fetch first)");
  expect(await repository.head()).toBe(other);
  await client.run("pull", "--quiet", "--no-rebase", "--no-edit");
  expect(await client.run("push", "origin", "main")).toMatchObject({ code: 0 });
});

test("a hook of the server refuses a push, until it is taken away", async () => {
  const repository = await server.createRepository("hooked");
  const person = await repository.clone();
  await repository.hook("pre-receive", "echo 'protected branch' >&2; exit 1");
  await expect(person.push({ a: "1" })).rejects.toThrow("protected branch");
  await repository.hook("pre-receive", "");
  await person.push({ a: "2" });
  await person.git("checkout", "--quiet", "-b", "topic");
  await person.push({ b: "1" });
  await person.git("checkout", "--quiet", "main");
  await person.push({ c: "1" });
  await person.git("fetch", "--quiet");
  await person.merge("topic");
  expect(await repository.read("b")).toBe("1");
});
