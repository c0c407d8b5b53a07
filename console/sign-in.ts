import type { Role } from "../core/judge/commands.ts";

/** Somebody who has signed in. */
export interface Person {
  /** For the audit, and shown on the page. */
  readonly who: string;
  /** How long the sign-in is good for, in milliseconds. */
  readonly validForMs: number;
  /** What this person is on a server; undefined: nothing at all. Asked anew for each connection. */
  roleOn(server: string): Promise<Role | undefined>;
  /** Whether what was signed in with still stands: not revoked, the account not deleted. */
  isStillValid(): Promise<boolean>;
}

/** A way to sign in, with one secret text. */
export interface SignIn {
  /** What to type, in a few words: shown on the page. */
  readonly prompt: string;
  /**
   * Whether a secret is one that nobody can guess and is looked up here: then others' failures keep out nobody whose secret
   * is good. Else somebody else is asked, who is to be spared: whoever comes from where too many failed has to wait.
   */
  readonly isLocal: boolean;
  /** The person whom the secret belongs to; undefined where it is nobody's or no longer good. */
  signIn(secret: string): Promise<Person | undefined>;
}
