import type { KubernetesObject } from "./runtime/objects.ts";
import { keyOf } from "./runtime/objects.ts";

/** Who is to be told when something changes, by what refers to it. Kept up as objects come and go. */
export class References {
  readonly #byObject = new Map<string, { readonly names: ReadonlySet<string>; readonly tell: string }>();
  readonly #objects = new Map<string, Set<string>>();

  /** An object refers to these names now and to nothing else; when one of them changes, `tell` is told. */
  set(object: string, names: ReadonlySet<string>, tell: string): void {
    this.delete(object);
    this.#byObject.set(object, { names, tell });
    for (const name of names) {
      const objects = this.#objects.get(name);
      if (objects === undefined) this.#objects.set(name, new Set([object]));
      else objects.add(object);
    }
  }

  delete(object: string): void {
    for (const name of this.#byObject.get(object)?.names ?? []) {
      const objects = this.#objects.get(name);
      objects?.delete(object);
      if (objects?.size === 0) this.#objects.delete(name);
    }
    this.#byObject.delete(object);
  }

  /** Who is to be told of a change of this name, each once. */
  to(name: string): ReadonlySet<string> {
    const objects = [...(this.#objects.get(name) ?? [])];
    return new Set(objects.flatMap((object) => this.#byObject.get(object)?.tell ?? []));
  }
}

/** The longest name that an object can have. */
const longest = 253;

/**
 * The keys of the Secrets and ConfigMaps that an object may refer to: every text of its spec that could be a name, its own
 * name (of what is generated for it), and what stands in `@{secret:name/key}`. One too many does no harm.
 */
export function mentionedIn({
  metadata: { namespace = "", name: own },
  spec,
}: KubernetesObject & { readonly spec?: unknown }): Set<string> {
  const names = new Set([own]);
  const collect = (value: unknown): void => {
    if (typeof value === "string") {
      if (value.length <= longest && /^[a-z0-9.-]+$/.test(value)) names.add(value);
      for (const [, name = ""] of value.matchAll(/@\{secret:([a-z0-9.-]+)\//g)) names.add(name);
    } else if (typeof value === "object" && value !== null) Object.values(value).forEach(collect);
  };
  collect(spec);
  return new Set([...names].map((name) => keyOf({ namespace, name })));
}
