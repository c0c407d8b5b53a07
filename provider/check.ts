import { parseOwnedLines } from "../core/conf/owned.ts";
import { messageOf } from "../core/errors.ts";
import { mistakesOf, pathPolicy } from "../core/resource/index.ts";
import type { Mistake } from "../core/resource/index.ts";
import { secretReferences } from "../core/secret-references.ts";
import { otherwise, schemas } from "./declaration.ts";
import type { CheckFailure } from "./handlers.ts";
import type { Kind, Properties } from "./properties.ts";
import { inputsOf, isUnknownAt, objectAt } from "./properties.ts";
import { connection } from "./connection.ts";

/**
 * Every mistake in the inputs at once; what is not known yet is passed over. No failure names its property: Pulumi would
 * print the value of that, and any value may be a secret.
 */
export function checkInputs(kind: Kind, properties: Properties): CheckFailure[] {
  const inputs = inputsOf(properties);
  const { fields, spec, specOf } = schemas[kind];
  const mistakes = [fields.safeParse(inputs), spec.safeParse(specOf(inputs))].flatMap(({ error }) =>
    error === undefined ? [] : mistakesOf(error),
  );
  const all = [...mistakes, ...elsewhere(kind, inputs), ...(kind === "ConfFile" ? ofFile(inputs) : [])];
  const reasons = all
    .filter(({ path }) => !isUnknownAt(inputs, path))
    .map(({ path, message }) => {
      const name = typeof inputs["name"] === "string" ? ` ${inputs["name"]}` : "";
      return `${kind}${name}${path.length === 0 ? "" : `: ${path.join(".")}`}: ${message}`;
    });
  return [...new Set(reasons)].map((reason) => ({ reason }));
}

/** Fields that only the other fronts know. */
function elsewhere(kind: Kind, inputs: Properties): Mistake[] {
  return Object.entries(otherwise[kind]).flatMap(([field, instead]) => {
    const path = field.split(".");
    const holder = path.slice(0, -1).reduce<Properties | undefined>(objectAt, inputs);
    const isThere = holder?.[path.at(-1) ?? ""] !== undefined;
    return isThere ? [{ path, message: `is not for Pulumi: ${instead}` }] : [];
  });
}

/** What a file's schema does not say: that its path may be written at all, and that its text can be. */
function ofFile(inputs: Properties): Mistake[] {
  const { path, content, sections, server, secrets = {} } = inputs;
  const isWritten = content !== undefined || sections !== undefined;
  const known = connection.safeParse(server);
  const mistakes: Mistake[] = [];
  if (isWritten && known.success && typeof path === "string") {
    const message = directionProblem(path, pathPolicy(known.data.spec)(path));
    if (message !== undefined)
      mistakes.push({ path: [content === undefined ? "sections" : "content"], message });
  }
  const texts = [
    { path: ["content"], text: content, isLines: false },
    ...(Array.isArray(sections) ? sections : []).map((section: unknown, at) => ({
      path: ["sections", String(at), "lines"],
      text: typeof section === "object" && section !== null ? (section as Properties)["lines"] : undefined,
      isLines: true,
    })),
  ];
  for (const { path: at, text, isLines } of texts) {
    if (typeof text !== "string" || isUnknownAt(inputs, at)) continue;
    const message = isUnknownAt(inputs, ["secrets"])
      ? undefined
      : textProblem(text, secrets as Properties, isLines);
    if (message !== undefined) mistakes.push({ path: at, message });
  }
  return mistakes;
}

function directionProblem(
  path: string,
  policy: ReturnType<ReturnType<typeof pathPolicy>>,
): string | undefined {
  if (policy.kind === "Unmanaged")
    return `is not taken, since the rule ${policy.rule} of the AsteriskServer leaves ${path} unmanaged`;
  if (policy.kind === "Managed" && policy.direction === "FromAsterisk")
    return `is not taken, since Asterisk is the source of ${path} (updateDirection: FromAsterisk): the file is only read; leave this out, or put the rule {files: ${JSON.stringify(path)}, updateDirection: "ToAsterisk"} first`;
  return undefined;
}

function textProblem(text: string, secrets: Properties, isLines: boolean): string | undefined {
  try {
    const missing = secretReferences(text, "it").filter(
      ({ name, key }) => objectAt(secrets, name)?.[key] === undefined,
    );
    if (missing.length > 0)
      return `refers to what \`secrets\` does not have: ${missing.map(({ name, key }) => `${name}/${key}`).join(", ")}`;
    if (isLines) parseOwnedLines(text);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
