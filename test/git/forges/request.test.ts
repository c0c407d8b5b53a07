import { describe, expect, test } from "@jest/globals";
import { openForge } from "../../../git/forges/open.ts";
import { placeOf } from "../../../git/forges/place.ts";
import { forgeFetch } from "../../../git/forges/request.ts";
import { useFakeGitHub, type CannedAnswer } from "../../support/fake-github.ts";
import { useGitServer } from "../../support/git-server.ts";

const gitHub = useFakeGitHub(useGitServer());
const branches = { head: "asterisk-iac/pbx1", base: "main" };
const token = "canary-token-of-a-forge";

let count = 0;
async function askOnce(answer: CannedAnswer | undefined) {
  const { kind, apiURL, httpURL } = await gitHub.createRepository(`answers-${++count}`);
  const forge = openForge({ kind, apiURL, repositoryURL: httpURL, token: () => Promise.resolve(token) });
  gitHub.answerNext(answer);
  const error: unknown = await forge.newestPullRequest(branches).catch((thrown: unknown) => thrown);
  expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain(token);
  return error;
}

describe("what a forge answers decides what happens next", () => {
  const inTenSeconds = String(Math.ceil(Date.now() / 1000) + 10);
  test.each<[string, CannedAnswer, number, number]>([
    ["a time in seconds", { status: 429, headers: { "retry-after": "7" } }, 7_000, 7_000],
    ["GitHub's second limit", { status: 403, headers: { "retry-after": "60" } }, 60_000, 60_000],
    [
      "nothing left, until",
      { status: 403, headers: { "x-ratelimit-remaining": "0", "x-ratelimit-reset": inTenSeconds } },
      1_000,
      11_000,
    ],
    ["no time at all", { status: 429 }, 60_000, 60_000],
    ["a date", { status: 429, headers: { "retry-after": new Date(0).toUTCString() } }, 1_000, 1_000],
    ["a day", { status: 429, headers: { "retry-after": "86400" } }, 3_600_000, 3_600_000],
  ])("a pause, for %s: Waiting", async (_, answer, least, most) => {
    const error = await askOnce(answer);
    expect(error).toMatchObject({ code: "SourceUnavailable", next: "Waiting" });
    const { retryAfterMs } = error as { retryAfterMs: number };
    expect(retryAfterMs).toBeGreaterThanOrEqual(least);
    expect(retryAfterMs).toBeLessThanOrEqual(most);
  });

  test.each<[string, CannedAnswer, string, string]>([
    ["a fault", { status: 502 }, "Retry", "has a fault (HTTP 502)"],
    [
      "no leave",
      { status: 403, body: { message: "Resource not accessible" } },
      "Stalled",
      "Resource not accessible",
    ],
    [
      "a repository that moved",
      { status: 301, headers: { location: "/elsewhere" } },
      "Stalled",
      "is somewhere else",
    ],
    [
      "control characters",
      { status: 422, body: { message: "\u001b[31mred\n" } },
      "Stalled",
      "list pull requests:  [31mred",
    ],
  ])("%s", async (_, answer, next, said) => {
    expect(await askOnce(answer)).toMatchObject({
      code: "SourceUnavailable",
      next,
      message: expect.stringContaining(said),
    });
  });

  test("the token is in no error, though the answer repeats it", async () => {
    const error = await askOnce({ status: 422, body: { message: `no leave for Bearer ${token}` } });
    expect(error).toMatchObject({ message: expect.stringContaining("no leave for Bearer ********") });
  });

  test("no answer is given up", async () => {
    const { apiURL } = await gitHub.createRepository("silent");
    gitHub.answerNext(undefined);
    const ask = forgeFetch("the forge", () => Promise.resolve(token), 100);
    await expect(ask(apiURL)).rejects.toMatchObject({
      code: "SourceUnavailable",
      next: "Retry",
      message: "the forge can't be reached: no answer within 0.1 s",
    });
  });

  test("nobody there", async () => {
    const ask = forgeFetch("the forge", () => Promise.resolve(token));
    await expect(ask("http://127.0.0.1:1/")).rejects.toMatchObject({
      code: "SourceUnavailable",
      next: "Retry",
    });
  });
});

describe("where a repository is at its forge", () => {
  test.each<["GitHub" | "Gitea", string, string | undefined, string, string]>([
    ["GitHub", "https://github.com/telephony/pbx.git", undefined, "telephony/pbx", "https://api.github.com"],
    ["GitHub", "git@github.com:telephony/pbx", undefined, "telephony/pbx", "https://api.github.com"],
    [
      "GitHub",
      "ssh://git@ghe.example:2222/telephony/pbx.git/",
      undefined,
      "telephony/pbx",
      "https://ghe.example/api/v3",
    ],
    [
      "Gitea",
      "https://git.example:3000/sub/telephony/pbx.git",
      undefined,
      "telephony/pbx",
      "https://git.example:3000/sub/api/v1",
    ],
    [
      "Gitea",
      "http://127.0.0.1:3000/telephony/pbx",
      undefined,
      "telephony/pbx",
      "http://127.0.0.1:3000/api/v1",
    ],
    [
      "Gitea",
      "ssh://git@git.example:2222/telephony/pbx.git",
      undefined,
      "telephony/pbx",
      "https://git.example/api/v1",
    ],
    [
      "Gitea",
      "git@git.example:telephony/pbx.git",
      "https://other.example/api/v1/",
      "telephony/pbx",
      "https://other.example/api/v1",
    ],
  ])("%s %s", (kind, repositoryURL, apiURL, name, api) => {
    const place = placeOf({ kind, repositoryURL, ...(apiURL === undefined ? {} : { apiURL }) });
    expect(`${place.owner}/${place.repository}`).toBe(name);
    expect(place.apiURL).toBe(api);
  });

  test.each(["https://github.com/pbx.git", "https://github.com/a/b/c.git"])(
    "%s names none at GitHub",
    (repositoryURL) => {
      expect(() => placeOf({ kind: "GitHub", repositoryURL })).toThrow("does not end in the owner");
    },
  );
});
