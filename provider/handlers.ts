import type { Properties } from "./properties.ts";

/** What Pulumi calls, in the shapes of `pulumi.dynamic.ResourceProvider`. Properties are plain values. */
export interface Handlers {
  check(olds: Properties, news: Properties): Promise<{ inputs: Properties; failures: CheckFailure[] }>;
  diff(id: string, olds: Properties, news: Properties): Promise<Difference>;
  create(inputs: Properties): Promise<{ id: string; outs: Properties }>;
  read(id: string, props: Properties): Promise<{ id: string; props: Properties }>;
  update(id: string, olds: Properties, news: Properties): Promise<{ outs: Properties }>;
  delete(id: string, props: Properties): Promise<void>;
}

/** Why inputs are refused. */
export interface CheckFailure {
  /** Pulumi prints the value of what is named here, so nothing is. */
  readonly property?: never;
  readonly reason: string;
}

export interface Difference {
  readonly changes: boolean;
  /** The properties for which another resource takes the place of this one. */
  readonly replaces: string[];
  readonly deleteBeforeReplace: boolean;
}
