import { observeFiles, readFiles } from "../asterisk/files.ts";
import type { DistributionName } from "../asterisk/distribution.ts";
import type { Host } from "../asterisk/host.ts";
import { askInstallation } from "../asterisk/live.ts";
import { sudoersLine } from "../asterisk/shell.ts";
import { connect } from "../asterisk/ssh/connection.ts";
import type { Credentials } from "../asterisk/ssh/credentials.ts";
import { fingerprint, knownHostsLine, lookUp } from "../asterisk/ssh/known-hosts.ts";
import { openSSH } from "../asterisk/ssh/ssh-host.ts";
import { effectiveView, filesOf } from "../core/conf/index.ts";
import { AsteriskIacError } from "../core/errors.ts";
import type { UpdateDirection } from "../core/resource/index.ts";
import { portOf } from "./bootstrap-files.ts";
import { selectPaths } from "./select.ts";

/** A machine of which nothing is declared yet. */
export interface Machine {
  readonly host: string;
  readonly port: number;
  readonly user: string;
}

/** The key that a machine shows of itself, which nobody has vouched for yet. */
export interface PresentedKey {
  readonly type: string;
  /** As OpenSSH prints it, `SHA256:…`. */
  readonly fingerprint: string;
  /** For known_hosts. */
  readonly line: string;
}

/** The fingerprints of the keys that a known_hosts text has of the machine. */
export function pinnedFingerprints(knownHosts: string, { host, port }: Machine): string[] {
  return lookUp(knownHosts, host, port).keys.map(({ blob }) => fingerprint(blob));
}

/** Asks a machine for its host key and goes away again; nothing is sent to log in. Rejects as `connect` does. */
export async function presentedHostKey(machine: Machine): Promise<PresentedKey> {
  const looked = new AsteriskIacError("HostKeyUnknown", "the key was only looked at");
  let line: string | undefined;
  try {
    const connection = await connect({
      ...machine,
      knownHosts: "",
      hostKeyPolicy: "TrustOnFirstUse",
      // A connection needs some credential; this one ends before any is asked for.
      credentials: { password: "" },
      onNewHostKey: async (presented) => {
        line = presented;
        throw looked;
      },
    });
    await connection.close();
  } catch (error) {
    if (error !== looked) throw error;
  }
  const [, type = "", base64 = ""] = line?.split(" ") ?? [];
  const blob = Buffer.from(base64, "base64");
  return {
    type,
    fingerprint: fingerprint(blob),
    line: knownHostsLine(machine.host, machine.port, { type, blob }),
  };
}

/** What was found on a machine, and what follows from it for a manifest. */
export interface Survey {
  /** The user that owns the files, where the login user does not. */
  readonly become: string | undefined;
  readonly asteriskVersion: string;
  readonly configDirectory: string;
  readonly amiPort: number;
  readonly distribution: DistributionName | undefined;
  readonly updateDirection: UpdateDirection;
  readonly rules: readonly { readonly files: string; readonly updateDirection: UpdateDirection }[];
}

export interface SurveyOptions {
  readonly machine: Machine;
  readonly label: string;
  readonly credentials: Credentials;
  readonly knownHosts: string;
}

/**
 * Logs in and finds out who owns the files, where they are, and which distribution writes them. Rejects with
 * `PermissionDenied` where they are another user's and sudo is not set up, and as `openSSH` does.
 */
export async function surveyMachine(options: SurveyOptions): Promise<Survey> {
  const { machine, label } = options;
  const open = (become?: string): Promise<Host> =>
    openSSH({
      ...machine,
      label,
      credentials: options.credentials,
      knownHosts: options.knownHosts,
      hostKeyPolicy: "Pinned",
      ...(become === undefined ? {} : { become }),
    });
  const asLoginUser = await open();
  const become = await otherOwner(asLoginUser, machine.user).finally(() => asLoginUser.close());
  const host = await open(become);
  try {
    if (become !== undefined) await tryBecome(host, machine.user, become);
    const { asteriskVersion, configDirectory } = await askInstallation(host);
    const listing = await observeFiles(host, { configDirectory });
    const paths = new Map(listing.files.map(({ path, hash }) => [path, hash ?? null]));
    const read = (wanted: readonly string[]): Promise<Map<string, Buffer>> =>
      readFiles(host, listing, wanted);
    const { contents } = await selectPaths({ paths, read }, ["manager.conf"], configDirectory);
    const amiPort = portOf(effectiveView("manager.conf", filesOf(contents), { configDirectory })) ?? 5038;
    const distribution = listing.distribution.name;
    return {
      become,
      asteriskVersion,
      configDirectory,
      amiPort,
      distribution,
      ...directionFor(distribution),
    };
  } finally {
    await host.close();
  }
}

const ownerScript = `
for process in /proc/[0-9]*; do
  [ "$(cat "$process/comm" 2>/dev/null)" = asterisk ] || continue
  stat -c 'process %U' "$process"
done
for file in /etc/asterisk/asterisk.conf /etc/asterisk; do
  stat -Lc 'file %U' "$file" 2>/dev/null && break
done
exit 0
`;

/** The user to become: one that can write the files and talk to Asterisk. Undefined: the login user is that already. */
async function otherOwner(host: Host, user: string): Promise<string | undefined> {
  const { stdout } = await host.run(ownerScript);
  const lines = stdout.toString("utf8").split("\n");
  const named = (kind: string): string | undefined =>
    lines.find((line) => line.startsWith(`${kind} `))?.slice(kind.length + 1);
  const process = named("process");
  const file = named("file") ?? process;
  // Where Asterisk runs as another user than owns its files, only root can do both.
  const owner = process === undefined || process === file ? file : "root";
  return owner === undefined || owner === user || user === "root" ? undefined : owner;
}

async function tryBecome(host: Host, user: string, become: string): Promise<void> {
  try {
    await host.run("exit 0");
  } catch (cause) {
    throw new AsteriskIacError(
      "PermissionDenied",
      `Asterisk's files belong to ${become}, and ${user} may not work as ${become} through sudo`,
      {
        cause,
        hint: `Add this line to sudoers there (visudo), then run this again: ${sudoersLine(user, become)}`,
      },
    );
  }
}

/** Who is the source of truth: the repository, but for files that a distribution writes. */
export function directionFor(
  distribution: DistributionName | undefined,
): Pick<Survey, "updateDirection" | "rules"> {
  if (distribution === undefined) return { updateDirection: "ToAsterisk", rules: [] };
  const files = usersFiles[distribution] ?? [];
  return {
    updateDirection: "FromAsterisk",
    rules: files.map((glob) => ({ files: glob, updateDirection: "ToAsterisk" })),
  };
}

/** The files that a distribution leaves to its users. */
const usersFiles: Partial<Record<DistributionName, readonly string[]>> = {
  FreePBX: ["*_custom*.conf", "*_override_*.conf"],
  Issabel: ["*_custom*.conf", "*_override_*.conf"],
  VitalPBX: ["{vitalpbx,ombutel}/*__[6-9][0-9]-*.conf"],
};
