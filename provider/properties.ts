/** What Pulumi hands over: plain values, secrets in the clear. */
export type Properties = Readonly<Record<string, unknown>>;

/** The kinds of resources, as the runtime knows them. */
export type Kind = "AsteriskServer" | "AMIAccount" | "ConfFile";

/** What the handlers put beside the inputs. */
const outputKeys = [
  "stateVersion",
  "connection",
  "asteriskVersion",
  "configurationDirectory",
  "initialImport",
  "hash",
  "drifted",
  "password",
  "accountFile",
  "verified",
  "effectiveView",
  "liveContent",
];

/** What Pulumi puts in the place of a value that is not known yet (`unknownValue` of @pulumi/pulumi/runtime/rpc). */
const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

/** Properties without what the engine adds to them, and without what has no value: at any depth null is as if not given. */
export function plain(properties: Properties): Properties {
  return withoutNull(without(properties, ["__provider"])) as Properties;
}

/** The inputs that are among properties. */
export function inputsOf(properties: Properties): Properties {
  return without(properties, outputKeys);
}

/** Properties but these. */
export function without(properties: Properties, keys: readonly string[]): Properties {
  return Object.fromEntries(Object.entries(properties).filter(([key]) => !keys.includes(key)));
}

/** The properties that have a value: Pulumi can't carry `undefined`. */
export function defined<T>(values: Readonly<Record<string, T | undefined>>): Record<string, T> {
  return Object.fromEntries(
    Object.entries(values).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  );
}

/** A property that is itself a set of properties. */
export function objectAt(properties: Properties | undefined, key: string): Properties | undefined {
  const value = properties?.[key];
  return typeof value === "object" && value !== null ? (value as Properties) : undefined;
}

/** Whether anything in a value is not known yet. */
export function hasUnknown(value: unknown): boolean {
  if (value === unknownValue) return true;
  if (typeof value !== "object" || value === null) return false;
  return Object.values(value).some(hasUnknown);
}

/** Whether what a path leads to, or anything that it lies in, or anything in it, is not known yet. */
export function isUnknownAt(properties: Properties, path: readonly string[]): boolean {
  let value: unknown = properties;
  for (const key of path) {
    if (value === unknownValue) return true;
    value = typeof value === "object" && value !== null ? (value as Properties)[key] : undefined;
  }
  return hasUnknown(value);
}

/** Every secret among properties: what no message may hold. Names of users and host keys are none. */
export function secretsIn(properties: Properties): string[] {
  const { ssh, ami, server, connection, secret, password, secrets } = properties as Record<
    string,
    Properties
  >;
  const kept = [server, connection].flatMap((each) => Object.values(objectAt(each, "secrets") ?? {}));
  const values = [
    [ssh?.["privateKey"], ssh?.["password"], ami?.["password"], secret, password, secrets],
    kept.map((keys) =>
      typeof keys === "object" ? without(keys as Properties, ["username", "known_hosts"]) : keys,
    ),
  ];
  const texts = textsIn(values);
  // Of a key, no line either.
  return [...texts, ...texts.flatMap((text) => text.split("\n").filter((line) => line.length > 30))];
}

function textsIn(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsIn) : [];
}

function withoutNull(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNull);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, each]) =>
      each === null || each === undefined ? [] : [[key, withoutNull(each)]],
    ),
  );
}
