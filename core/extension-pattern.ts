/** Extensions as the dialplan writes them: digits, or a pattern behind `_` of digits, X, Z, N, [1-5] and a last `.` or `!`. */
export const extensionPattern = /^([0-9*#]{1,32}|_([0-9*#XZNxzn]|\[[0-9]([0-9]|-[0-9])*\]){1,32}[.!]?)$/;

const classes: Readonly<Record<string, string>> = { X: "[0-9]", Z: "[1-9]", N: "[2-9]" };

/** Whether a number matches such a pattern, as Asterisk's dialplan would match it (main/pbx.c). */
export function matchesExtension(pattern: string, number: string): boolean {
  if (!pattern.startsWith("_")) return pattern === number;
  return compiled(pattern).test(number);
}

const known = new Map<string, RegExp>();

function compiled(pattern: string): RegExp {
  const before = known.get(pattern);
  if (before !== undefined) return before;
  const body = pattern.slice(1).replace(/\[[^\]]*\]|[XZNxzn]|[*.!]/g, (part) => {
    if (part === "*") return "\\*";
    if (part === ".") return ".+";
    return part === "!" ? ".*" : (classes[part.toUpperCase()] ?? part);
  });
  const expression = new RegExp(`^${body}$`);
  known.set(pattern, expression);
  return expression;
}
