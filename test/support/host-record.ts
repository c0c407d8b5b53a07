import type { LabServer } from "../../lab/lab.ts";
import { hostRoom } from "./lab-reconciler.ts";

/** The text of the record that a server keeps of what was applied to it; undefined before the first apply. */
export async function hostRecordText(server: LabServer | undefined): Promise<string | undefined> {
  const script = `[ ! -e ${hostRoom}/record ] || cat ${hostRoom}/record`;
  const text = (await server?.run(["sh", "-c", script]))?.stdout.toString();
  return text === "" ? undefined : text;
}

/** How often something was applied to a server, by its own record. */
export async function generationOf(server: LabServer | undefined): Promise<number> {
  const text = await hostRecordText(server);
  return text === undefined ? 0 : (JSON.parse(text) as { generation: number }).generation;
}
