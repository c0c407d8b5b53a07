/** Whether a git repository tells a secret, to who reads all of it or guesses. */
import { execFile } from "node:child_process";
import { hash } from "node:crypto";
import { promisify } from "node:util";

/** What must not be found. */
export interface Canaries {
  /** Secrets of eight characters and more. */
  readonly secrets: readonly string[];
  /** Four-digit PINs: looked for as words of their own. */
  readonly pins?: readonly string[];
  /** What stands in the server's files, with a PIN in it: nothing may be a hash of it for any of the 10,000. */
  readonly contents?: readonly ((pin: string) => string | Uint8Array)[];
}

const algorithms = ["md5", "sha1", "sha256", "sha512"] as const;

/**
 * Looks for them in every object of a repository, reachable or not, in names of objects and of references: as they are, in
 * base64, in hex, reversed and hashed. Hashes are tried with every PIN there is. Throws with where it was found.
 */
export async function assertNotInRepository(gitDirectory: string, canaries: Canaries): Promise<void> {
  const git = async (...args: string[]): Promise<Buffer> => {
    const options = { encoding: "buffer", maxBuffer: 2 ** 30 } as const;
    return (await promisify(execFile)("git", ["--git-dir", gitDirectory, ...args], options)).stdout;
  };
  const objects = objectsOf(await git("cat-file", "--batch-all-objects", "--batch", "--unordered"));
  if (objects.length === 0) throw new Error(`${gitDirectory} has no objects: nothing was looked at`);
  const references = await git("for-each-ref", "--format=%(refname) %(contents)");
  const places = [...objects, { name: "the references", content: references }];
  const told = tellingTexts(canaries.secrets);
  const hashes = new Map(objects.map(({ id, name }) => [id, name]));
  for (const { name, content } of places) {
    const text = content.toString("latin1");
    for (const [telling, what] of told) if (text.includes(telling)) throw new Error(`${name} holds ${what}`);
    for (const pin of canaries.pins ?? [])
      if (new RegExp(`(?<![\\w+/=-])${pin}(?![\\w+/=-])`).test(text))
        throw new Error(`${name} holds the PIN ${pin}`);
    for (const each of hashesIn(text)) if (!hashes.has(each)) hashes.set(each, `${name} holds ${each}`);
  }
  const guessed = guess(hashes, canaries.contents ?? []);
  if (guessed !== undefined) throw new Error(guessed);
}

interface GitObject {
  readonly id: string;
  readonly name: string;
  readonly content: Buffer;
}

/** `<id> <type> <length>`, the content and a line end, again and again. */
function objectsOf(batch: Buffer): GitObject[] {
  const objects: GitObject[] = [];
  for (let at = 0; at < batch.length;) {
    const end = batch.indexOf("\n", at);
    const [id = "", type = "", length] = batch.toString("latin1", at, end).split(" ");
    at = end + 1 + Number(length) + 1;
    objects.push({ id, name: `the ${type} ${id}`, content: batch.subarray(end + 1, at - 1) });
  }
  return objects;
}

/** Texts that say what a secret is, and how. */
function tellingTexts(secrets: readonly string[]): Map<string, string> {
  const telling = new Map<string, string>();
  for (const secret of secrets) {
    const bytes = Buffer.from(secret);
    telling.set(secret, "a secret");
    telling.set([...secret].reverse().join(""), "a secret, reversed");
    telling.set(bytes.toString("hex"), "a secret in hex");
    telling.set(bytes.toString("hex").toUpperCase(), "a secret in hex");
    telling.set(encodeURIComponent(secret), "a secret as a URL has it");
    for (const lead of [0, 1, 2]) {
      // Characters that are the secret's alone, whatever stands before and behind it.
      const encoded = Buffer.concat([Buffer.alloc(lead), bytes]).toString("base64");
      const own = encoded.slice(Math.ceil((lead * 8) / 6), Math.floor(((lead + bytes.length) * 8) / 6));
      telling.set(own, "a secret in base64");
      telling.set(own.replaceAll("+", "-").replaceAll("/", "_"), "a secret in base64");
    }
    for (const algorithm of algorithms)
      for (const text of [secret, `${secret}\n`])
        for (const encoding of ["hex", "base64", "base64url"] as const)
          telling.set(hash(algorithm, text, encoding).replace(/=+$/, ""), `the ${algorithm} of a secret`);
  }
  return telling;
}

/**
 * What a guesser of PINs finds: a hash, in hex, of a PIN or of a content with one.
 * @param found every hash in the repository, and where it is
 */
function guess(
  found: ReadonlyMap<string, string>,
  contents: NonNullable<Canaries["contents"]>,
): string | undefined {
  for (let number = 0; number < 10_000; number++) {
    const pin = String(number).padStart(4, "0");
    const guesses: [what: string, bytes: Uint8Array][] = [
      [`PIN ${pin}`, Buffer.from(pin)],
      [`PIN ${pin} and a line end`, Buffer.from(`${pin}\n`)],
      ...contents.map((content, at): [string, Uint8Array] => [
        `content ${at} with the PIN ${pin}`,
        Buffer.from(content(pin) as Uint8Array),
      ]),
    ];
    for (const [what, bytes] of guesses) {
      const object = Buffer.concat([Buffer.from(`blob ${bytes.length}\0`), bytes]);
      const tries: [string, string][] = [
        ...algorithms.map((algorithm): [string, string] => [
          hash(algorithm, bytes),
          `the ${algorithm} of ${what}`,
        ]),
        [hash("sha1", object), `git's object of ${what}`],
        [hash("sha256", object), `git's object of ${what}`],
      ];
      for (const [digest, told] of tries) {
        const place = found.get(digest);
        if (place !== undefined) return `${place}: ${told}`;
      }
    }
  }
  return undefined;
}

/** What may be a hash, in hex. */
function* hashesIn(text: string): Generator<string> {
  for (const [hex] of text.matchAll(
    /(?<![0-9a-f])(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{128})(?![0-9a-f])/gi,
  ))
    yield hex.toLowerCase();
  for (const [token] of text.matchAll(/(?<![\w+/-])[\w+/-]{22,86}(?![\w+/-])/g))
    yield Buffer.from(token, "base64").toString("hex");
}
