import { expect } from "@jest/globals";

/** What a renderer takes for more than text: all but code between tags, its marks entities, and fenced blocks. */
export function outsideOfCode(markdown: string): string {
  const lines: string[] = [];
  let fence: string | undefined;
  for (const line of markdown.split("\n")) {
    const [, marks = ""] = /^ {0,3}(`{3,})[^`]*$/.exec(line) ?? [];
    if (fence === undefined && marks !== "") fence = marks;
    else if (fence !== undefined && /^ {0,3}`+\s*$/.test(line) && line.trim().length >= fence.length)
      fence = undefined;
    else if (fence === undefined) lines.push(line);
  }
  expect(fence).toBeUndefined();
  return lines.join("\n").replace(/<code>[^<>`@]*<\/code>/g, "");
}
