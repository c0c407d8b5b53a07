import type { Host } from "./host.ts";

/** Prints the host's offset from UTC at each of the times, seconds since 1970. Asterisk, too, goes by /etc/localtime alone. */
const script = `
unset TZ
for second in "$@"; do date -d "@$second" +%z; done
`;

/**
 * The host's offsets from UTC at moments, as `+0200`, in their order; empty where its `date` does not tell. Rejects as
 * `host.run` does.
 */
export async function askHostOffsets(host: Host, seconds: readonly number[]): Promise<readonly string[]> {
  const { code, stdout } = await host.run(script, { args: seconds.map(String) });
  const lines = stdout.toString("utf8").trim().split("\n");
  return code === 0 && lines.every((line) => /^[+-]\d{4}$/.test(line)) ? lines : [];
}
