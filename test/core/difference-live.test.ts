/** Our reading of a dialplan beside that of live Asterisk. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { differenceOf } from "../../core/difference.ts";
import { useLab } from "../support/lab.ts";
import { viewOf } from "../support/views.ts";

const lab = useLab();

const dialplan = `[general]
static=yes
[globals]
X=1
[numbers]
exten => 100,1,Answer
 same => n,Wait(1)
 same => n(end),Hangup()
exten => 1-01,1,NoOp(dashes)
exten => 101,2,NoOp(same extension)
exten => 102,1,NoOp(a)
exten => 102,1,NoOp(taken)
exten => 102,n+5,NoOp(seven)
exten => 102,s,NoOp(taken again)
exten => 102,next,NoOp(eight)
exten => 102,20(there),NoOp(twenty)
exten => 102,there+1,NoOp(twenty one)
exten => 102,nowhere,NoOp(skipped)
exten => 102,0,NoOp(skipped)
exten => 102,n(open,NoOp(skipped)
same_again => n,NoOp(after twenty one)
[carried]
exten => 1,1,NoOp()
exten => 2,n,NoOp(two)
exten => 3,hint,PJSIP/3
exten => 3,n,NoOp(skipped)
exten => 4,n,NoOp(skipped too)
exten => _[1-3]X.,1,NoOp(a (b) c) trailing
exten => 5,1,NoOp(open
exten => 6,1,$\{X}(x)
[first]
same => n,NoOp(nothing before)
exten => 1,n,NoOp(nothing before)
exten => 1,1,NoOp(first)
[numbers]
exten => 102,1,NoOp(taken in another section)
exten => 103,n,NoOp(nothing before in this section)
exten => 103,1,Dial(PJSIP/103,20,tT)
`;

test("extensions, priorities, labels and applications are those that Asterisk shows", async () => {
  const [server] = lab.servers;
  if (server === undefined) throw new Error("the lab has no server");
  await writeFile(join(server.configDirectory, "extensions.conf"), dialplan);
  const cli = async (command: string) => (await server.run(["asterisk", "-rx", command])).stdout;
  await cli("dialplan reload");

  const shown: Record<string, string[]> = {};
  for (const context of ["numbers", "carried", "first"]) {
    shown[context] = stepsShown(await cli(`dialplan show ${context}`));
  }
  const { effects } = differenceOf(
    viewOf("extensions.conf", ""),
    viewOf("extensions.conf", dialplan),
    "extensions.conf",
  );
  const read: Record<string, string[]> = { numbers: [], carried: [], first: [] };
  for (const { kind, name, context, details } of effects) {
    if (kind !== "extension" && kind !== "hint") continue;
    for (const step of details) {
      const priority = kind === "hint" ? "hint" : step.name.replace("priority ", "");
      read[context ?? ""]?.push(`${withoutDashes(name)} ${priority} ${step.new ?? ""} ${step.line}`);
    }
  }
  expect(shown["numbers"]?.length).toBeGreaterThan(10);
  for (const context of Object.keys(shown)) expect(read[context]?.sort()).toEqual(shown[context]?.sort());
});

/** `extension priority (label) application line` of each step of `dialplan show`. */
function stepsShown(text: string): string[] {
  let extension = "";
  return text.split("\n").flatMap((line) => {
    extension = /^ +'([^']*)' =>/.exec(line)?.[1] ?? extension;
    const step = /^ +(?:'[^']*' =>)? +(?:\[(\w+)\] +)?(\d+|hint)[.:] (.*?) +\[[^\]:]*:(\d+)\]$/.exec(line);
    if (step === null) return [];
    const [, label, priority = "", application = "", number = ""] = step;
    const labelled = label === undefined ? "" : `(${label}) `;
    return [`${withoutDashes(extension)} ${priority} ${labelled}${application} ${number}`];
  });
}

const withoutDashes = (extension: string) =>
  extension.startsWith("_") ? extension : extension.replaceAll("-", "");
