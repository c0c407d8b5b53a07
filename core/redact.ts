/** What stands for a secret wherever one would be shown. */
export const redacted = "********";

/**
 * A copy of plain data (JSON, Maps and Sets) in which none of the secrets occurs in any text. Errors and other objects of a
 * class are left as they are. Values of less than four characters are not looked for: they would blot out everything.
 *
 * @param field only in the texts of fields of this name: for values that might stand in a hash, an id or a word of ours
 */
export function redact<T>(data: T, secrets: Iterable<string>, field?: string): T {
  const values = [...new Set(secrets)]
    .filter((value) => value.length >= 4)
    .sort((a, b) => b.length - a.length);
  return values.length === 0 ? data : (copy(data, values, field) as T);
}

/** The same for one text. */
export function redactText(text: string, secrets: Iterable<string>): string {
  return redact(text, secrets);
}

/** @param field all that stands in a field of this name is looked at; undefined: everything is */
function copy(data: unknown, secrets: readonly string[], field: string | undefined): unknown {
  const copyOf = (each: unknown): unknown => copy(each, secrets, field);
  if (typeof data === "string")
    return field === undefined
      ? secrets.reduce((text, secret) => text.replaceAll(secret, redacted), data)
      : data;
  if (Array.isArray(data)) return data.map(copyOf);
  if (data instanceof Map) return new Map([...data].map(([key, value]) => [key, copyOf(value)] as const));
  if (typeof data !== "object" || data === null) return data;
  const prototype: unknown = Object.getPrototypeOf(data);
  if (prototype !== Object.prototype && prototype !== null) return data;
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [
      key,
      copy(value, secrets, key === field ? undefined : field),
    ]),
  );
}
