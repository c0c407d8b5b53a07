import { AMIClient } from "../../asterisk/ami/client.ts";
import { amiOf } from "./lab-connections.ts";
import type { LabServer } from "./lab.ts";

/** Hears, in a session of its own, every reload that a server's Asterisk does. */
export interface ReloadWatch {
  /** The modules reloaded since it was last asked, in their order; `All` for a reload of everything. */
  heard(): Promise<string[]>;
  close(): Promise<void>;
}

/** A module that nothing under test reloads: its own reload marks where the events of before end. */
const marker = "dsp";

export async function watchReloads(server: LabServer): Promise<ReloadWatch> {
  // Without pings of its own it outlives an Asterisk that is stopped for a while, and hears what it does then.
  const ami = await AMIClient.connect({ ...amiOf(server), deadlines: { idlePingMs: 0 } });
  const modules: string[] = [];
  ami.on("Reload", (event) => modules.push(event.get("Module") ?? "?"));
  return {
    heard: async () => {
      const marked = ami.waitForEvent("Reload", (event) => event.get("Module") === marker, 10_000);
      await Promise.all([ami.send("Reload", { Module: marker }), marked]);
      return modules.splice(0).filter((module) => module !== marker);
    },
    close: () => ami.close(),
  };
}
