/** How good a secret of AMI is. Nothing here says what it is. */
import { createRequire } from "node:module";
import type * as zxcvbn from "@zxcvbn-ts/core";
import type * as language from "@zxcvbn-ts/language-common";

/** Secrets of samples, tutorials and products, which are tried first. */
const knownSecrets = new Set(
  (
    "secret mysecret secret5 password passw0rd pass admin asterisk asterisk1 manager changeme 1234 12345 123456 " +
    "12345678 amp111 amp109 amp1234 elastix456 elastix issabel freepbx odoo salt test phpagi phpconfig php[onfig myasterisk " +
    "voip ami user default letmein qwerty asttapi a2billing mya2billing remote_mgr myamisecret ami_secret amisecret " +
    "amipassword ampuser mycode jabber asterisksecret mysecretpassword yoursecret yourpassword changethis pa55w0rd " +
    "astmanager asterisk123 admin123 supersecret"
  ).split(" "),
);

/** What is wrong with a secret, worst first. */
export type SecretWeakness = "empty" | "well-known" | "short" | "guessable";

/** Fewer characters can be guessed, however random they are. */
export const shortestSecret = 12;

/** Guesses, as a power of ten. zxcvbn counts ten for a random character, and fewer where chance makes a word. */
const fewestGuesses = 11;

/** What stands behind these characters makes a secret no weaker, and measuring them all takes long. */
const longestMeasured = 32;

/**
 * What is wrong with a secret; undefined if nothing is.
 * @param related what a guess would begin with: the account's name, the server's
 */
export function secretWeakness(secret: string, related: readonly string[]): SecretWeakness | undefined {
  const folded = secret.toLowerCase();
  if (secret === "") return "empty";
  if (knownSecrets.has(folded) || related.some((name) => name.toLowerCase() === folded)) return "well-known";
  if (secret.length < shortestSecret) return "short";
  const { guessesLog10 } = estimator().check(secret.slice(0, longestMeasured), [...related, ...words]);
  return guessesLog10 < fewestGuesses ? "guessable" : undefined;
}

const words = ["asterisk", "manager", "freepbx", "issabel", "voip", "pbx", "ami", "sip"];

// Its dictionaries take a tenth of a second to load, so only who asks waits for them.
let loaded: zxcvbn.ZxcvbnFactory | undefined;
function estimator(): zxcvbn.ZxcvbnFactory {
  if (loaded) return loaded;
  const require = createRequire(import.meta.url);
  const { ZxcvbnFactory } = require("@zxcvbn-ts/core") as typeof zxcvbn;
  const { dictionary, adjacencyGraphs } = require("@zxcvbn-ts/language-common") as typeof language;
  // Hexadecimal digits look like many spellings of letters: without a limit, 30 ms for one secret of 40.
  loaded = new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs, l33tMaxSubstitutions: 5 });
  return loaded;
}
