import { endOfLine } from "../cst.ts";
import type { ConfFile, VariableNode } from "../cst.ts";
import type { LineStyle } from "./line.ts";

/**
 * How a new variable looks: as `like`, the one of its own name or section beside it, else as the file's first
 * one. Only a variable of the same name gives its alignment too.
 */
export function styleFor(file: ConfFile, name: string, like: VariableNode | undefined): LineStyle {
  const model = like ?? file.nodes.find((node) => node.kind === "variable" && !node.interrupted);
  const plain = { ...plainStyle, endOfLine: endOfLineOf(file) };
  if (model?.kind !== "variable" || model.interrupted) return plain;
  const at = (offset: number): number => offset - model.offset;
  const before = model.source.slice(at(model.nameRange.end), at(model.operatorRange.start));
  const after = model.source.slice(at(model.operatorRange.end), at(model.valueRange.start));
  const indent = model.source.slice(0, at(model.nameRange.start));
  const keepsAlignment = model.name === name;
  return {
    indent: /^[\t ]*$/.test(indent) ? indent : "",
    beforeOperator: keepsAlignment ? before : before.slice(0, 1),
    operator: model.operator === "=>" ? "=>" : "=",
    afterOperator: model.value === "" ? before.slice(0, 1) : keepsAlignment ? after : after.slice(0, 1),
    endOfLine: plain.endOfLine,
  };
}

const plainStyle = { indent: "", beforeOperator: " ", operator: "=", afterOperator: " " } as const;

/** The end of the file's first line; a line feed where it has none. */
export function endOfLineOf(file: ConfFile): "\n" | "\r\n" {
  const [first] = file.nodes;
  return first && endOfLine(first) === "\r\n" ? "\r\n" : "\n";
}
