/** What stands for a secret wherever one would be shown. */
export const redacted = "********";

/**
 * A copy of plain data (JSON, Maps and Sets) in which none of the secrets occurs in any text. Errors and other objects of a
 * class are left as they are. Values of less than four characters are not looked for: they would blot out everything.
 */
export function redact<T>(data: T, secrets: Iterable<string>): T {
  const values = [...new Set(secrets)]
    .filter((value) => value.length >= 4)
    .sort((a, b) => b.length - a.length);
  return values.length === 0 ? data : (copy(data, values) as T);
}

/** The same for one text. */
export function redactText(text: string, secrets: Iterable<string>): string {
  return redact(text, secrets);
}

function copy(data: unknown, secrets: readonly string[]): unknown {
  if (typeof data === "string")
    return secrets.reduce((text, secret) => text.replaceAll(secret, redacted), data);
  if (Array.isArray(data)) return data.map((each) => copy(each, secrets));
  if (data instanceof Map)
    return new Map([...data].map(([key, value]) => [key, copy(value, secrets)] as const));
  if (typeof data !== "object" || data === null) return data;
  const prototype: unknown = Object.getPrototypeOf(data);
  if (prototype !== Object.prototype && prototype !== null) return data;
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, copy(value, secrets)]));
}
