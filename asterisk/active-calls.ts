import type { AMI } from "./ami/client.ts";

/**
 * How many calls are up: the distinct Linkedids of CoreShowChannels, which needs write=system or write=reporting. CoreStatus
 * counts channels, and `core show calls` misses those that were transferred.
 */
export async function askActiveCalls(ami: AMI): Promise<number> {
  const { events } = await ami.list("CoreShowChannels");
  return new Set(events.flatMap((event) => event.get("Linkedid") ?? [])).size;
}
