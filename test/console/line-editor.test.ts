import { expect, test } from "@jest/globals";
import { LineEditor } from "../../console/page/line-editor.ts";

function newEditor(): { editor: LineEditor; entered: string[] } {
  const entered: string[] = [];
  const editor = new LineEditor({
    write: () => undefined,
    onLine: (line) => entered.push(line),
    onComplete: () => undefined,
  });
  return { editor, entered };
}

test("a word that comes at once is typed, whatever it is called", () => {
  const { editor, entered } = newEditor();
  for (const word of ["constructor", " ", "toString", "\r"]) editor.input(word);
  expect(entered).toEqual(["constructor toString"]);
});

test("who signs in next finds neither the lines before nor what was being typed", () => {
  const { editor, entered } = newEditor();
  for (const data of ["database put trunk secret hunter2", "\r"]) editor.input(data);
  editor.ready();
  editor.input("half a secr");
  editor.forget();
  for (const data of ["\x1b[B", "\x1b[A", "core show uptime", "\r"]) editor.input(data);
  expect(entered).toEqual(["database put trunk secret hunter2", "core show uptime"]);
});
