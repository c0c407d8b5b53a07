import type { Forge, ForgeOptions } from "./forge.ts";
import { gitea } from "./gitea.ts";
import { gitHub } from "./github.ts";
import { placeOf } from "./place.ts";

/** The repository at its forge. Throws `InvalidManifest` where its URL does not say which it is. */
export function openForge({ token, ...options }: ForgeOptions): Forge {
  const place = placeOf(options);
  return options.kind === "GitHub" ? gitHub(place, token) : gitea(place, token);
}
