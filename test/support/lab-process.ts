import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import type { LabUpOptions } from "../../lab/lab.ts";

/** A process of its own that brings a lab up and then stays; made to be killed. */
export interface LabProcess {
  readonly child: ChildProcess;
  /** Resolves once its output holds that text: its progress, then `all up`. Rejects if it ends before. */
  says(text: string): Promise<void>;
}

const labModule = new URL("../../lab/lab.ts", import.meta.url).href;

/** Starts `labUp` in a process of its own, with what is given of the environment put over this one's. */
export function startLabProcess(
  options: Omit<LabUpOptions, "onProgress">,
  environment: NodeJS.ProcessEnv = {},
): LabProcess {
  const program = `
    const { labUp } = await import(${JSON.stringify(labModule)});
    await labUp({ ...${JSON.stringify(options)}, onProgress: (line) => console.log(line) });
    console.log("all up");
    setInterval(() => {}, 60_000);`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
    env: { ...process.env, NODE_OPTIONS: "", ...environment },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const heard: string[] = [];
  const lines = createInterface(child.stdout).on("line", (line) => heard.push(line));
  const says = (text: string) =>
    new Promise<void>((resolve, reject) => {
      const check = () => heard.some((line) => line.includes(text)) && resolve();
      lines.on("line", check);
      lines.on("close", () => reject(new Error(`ended without saying "${text}": ${heard.join("\n")}`)));
      check();
    });
  return { child, says };
}
