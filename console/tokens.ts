import { createHash, randomBytes } from "node:crypto";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { roles } from "../core/judge/commands.ts";
import type { Role } from "../core/judge/commands.ts";
import { hasErrorCode } from "../core/errors.ts";
import type { Person, SignIn } from "./sign-in.ts";

const stored = z.strictObject({
  who: z.string().min(1),
  role: z.enum(roles),
  expires: z.iso.datetime(),
});
type StoredToken = z.infer<typeof stored>;

/** So that a token is recognised where it was left by mistake, and no other text is looked up. */
const form = /^asterisk-console-[A-Za-z0-9_-]{43}$/;

/** What a new token is for. */
export interface TokenRequest {
  readonly who: string;
  readonly role: Role;
  readonly validForMs: number;
}

/**
 * Tokens to sign in with, one file each (0600) in a directory (0700), named by the token's SHA-256. The token itself is
 * 256 random bits, shown once and stored nowhere, so its hash needs no salt.
 */
export class TokenDirectory implements SignIn {
  readonly prompt = "A token of `asteriskctl console token`";
  readonly isLocal = true;
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Makes a token, and takes away the files of those that have expired. */
  async create({ who, role, validForMs }: TokenRequest): Promise<{ token: string; expires: string }> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const now = Date.now();
    for (const [file, each] of await this.#all())
      if (Date.parse(each.expires) <= now) await rm(file, { force: true });
    const token = `asterisk-console-${randomBytes(32).toString("base64url")}`;
    const expires = new Date(now + validForMs).toISOString();
    const content: StoredToken = { who, role, expires };
    await writeFile(this.#fileOf(token), `${JSON.stringify(content)}\n`, { mode: 0o600, flag: "wx" });
    return { token, expires };
  }

  /** Takes away the tokens of a person; who is signed in with one is signed out. Gives how many there were. */
  async revoke(who: string): Promise<number> {
    const theirs = (await this.#all()).filter(([, each]) => each.who === who);
    for (const [file] of theirs) await rm(file, { force: true });
    return theirs.length;
  }

  async signIn(secret: string): Promise<Person | undefined> {
    if (!form.test(secret)) return undefined;
    const file = this.#fileOf(secret);
    const token = await read(file);
    const validForMs = token === undefined ? 0 : Date.parse(token.expires) - Date.now();
    if (token === undefined || validForMs <= 0) return undefined;
    return {
      who: token.who,
      validForMs,
      roleOn: () => Promise.resolve(token.role),
      // By the clock only when signing in: a clock that jumps must not sign anybody out.
      isStillValid: async () => (await read(file)) !== undefined,
    };
  }

  #fileOf(token: string): string {
    return join(this.#directory, `${createHash("sha256").update(token).digest("hex")}.json`);
  }

  async #all(): Promise<[string, StoredToken][]> {
    const names = await readdir(this.#directory).catch((error: unknown) => {
      if (hasErrorCode(error, "ENOENT")) return [];
      throw error;
    });
    const files = names.filter((name) => name.endsWith(".json")).map((name) => join(this.#directory, name));
    const tokens = await Promise.all(files.map(async (file) => [file, await read(file)] as const));
    return tokens.filter((each): each is [string, StoredToken] => each[1] !== undefined);
  }
}

async function read(file: string): Promise<StoredToken | undefined> {
  try {
    return stored.safeParse(JSON.parse(await readFile(file, "utf8"))).data;
  } catch (error) {
    if (hasErrorCode(error, "ENOENT") || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
