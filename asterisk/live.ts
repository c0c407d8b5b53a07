import { AsteriskIacError } from "../core/errors.ts";
import type { AMI } from "./ami/client.ts";
import { runCommands } from "./asterisk-command.ts";
import type { Host } from "./host.ts";

/** What live Asterisk says of itself over AMI. Times are the server's own local time, `YYYY-MM-DD HH:MM:SS`. */
export interface LiveStatus {
  /** As Asterisk writes it: `22.10.1+dfsg+~cs6.17.60671434-1`. */
  readonly asteriskVersion: string;
  readonly amiVersion: string;
  /** `systemname` of asterisk.conf; often empty. */
  readonly systemName: string;
  readonly startupTime: string;
  /** When a reload was last asked for, whatever came of it; the start-up time where none was. */
  readonly reloadTime: string;
  /** Channels in use (CoreCurrentCalls counts channels: a call between two phones is two). */
  readonly activeChannels: number;
}

/** Asks for CoreSettings and CoreStatus in one round trip; both need write=system or write=reporting. */
export async function askStatus(ami: AMI): Promise<LiveStatus> {
  const [settings, status] = await Promise.all([ami.action("CoreSettings"), ami.action("CoreStatus")]);
  const need = (from: typeof settings, name: string): string => {
    const value = from.get(name);
    if (value !== undefined) return value;
    throw new AsteriskIacError("UnexpectedAnswer", `Asterisk's answer over AMI has no ${name}.`, {
      where: { server: ami.label },
    });
  };
  const activeChannels = Number(need(status, "CoreCurrentCalls"));
  if (!Number.isInteger(activeChannels)) {
    throw new AsteriskIacError("UnexpectedAnswer", "Asterisk's CoreCurrentCalls is no number.", {
      where: { server: ami.label },
    });
  }
  return {
    asteriskVersion: need(settings, "AsteriskVersion"),
    amiVersion: need(settings, "AMIversion"),
    systemName: need(settings, "SystemName"),
    startupTime: `${need(status, "CoreStartupDate")} ${need(status, "CoreStartupTime")}`,
    reloadTime: `${need(status, "CoreReloadDate")} ${need(status, "CoreReloadTime")}`,
    activeChannels,
  };
}

/** Where a live Asterisk keeps its things, and how AMI listens, as its own CLI prints it. Paths are absolute. */
export interface Installation {
  readonly asteriskVersion: string;
  readonly configFile: string;
  readonly configDirectory: string;
  readonly moduleDirectory: string;
  readonly spoolDirectory: string;
  readonly logDirectory: string;
  readonly runDirectory: string;
  readonly dataDirectory: string;
  /** `execincludes` of asterisk.conf: whether `#exec` runs. */
  readonly executesIncludes: boolean;
  readonly ami: AMIListener;
}

/** How AMI listens. Addresses are as Asterisk prints them, `127.0.0.1:5038` or `[::]:5038`; `undefined`: it does not. */
export interface AMIListener {
  readonly enabled: boolean;
  readonly address: string | undefined;
  readonly tlsAddress: string | undefined;
}

/** Asks Asterisk's CLI, in one round trip. Rejects as `runCommands` does, and with `UnexpectedAnswer`. */
export async function askInstallation(host: Host): Promise<Installation> {
  const [core = "", manager = ""] = await runCommands(host, ["core show settings", "manager show settings"]);
  return parseInstallation(core, manager);
}

/** Reads what `core show settings` and `manager show settings` print (main/asterisk.c, main/manager.c). */
export function parseInstallation(coreSettings: string, managerSettings: string): Installation {
  const core = parseSettings(coreSettings);
  const manager = parseSettings(managerSettings);
  const need = (label: string): string => {
    const value = core.get(label);
    if (value !== undefined && value !== "") return value;
    throw new AsteriskIacError("UnexpectedAnswer", `Asterisk's \`core show settings\` names no "${label}".`, {
      hint: "It printed something else; cli_permissions.conf may deny this user the command.",
    });
  };
  const enabled = manager.get("Manager (AMI)") === "Yes";
  return {
    asteriskVersion: need("Version"),
    configFile: need("Configuration file"),
    configDirectory: need("Configuration directory"),
    moduleDirectory: need("Module directory"),
    spoolDirectory: need("Spool directory"),
    logDirectory: need("Log directory"),
    runDirectory: need("Run/Sockets directory"),
    dataDirectory: need("Data directory"),
    executesIncludes: need("Executable includes") === "Enabled",
    ami: {
      enabled,
      address: enabled ? listening(manager.get("TCP Bindaddress")) : undefined,
      tlsAddress: manager.get("TLS Enable") === "Yes" ? listening(manager.get("TLS Bindaddress")) : undefined,
    },
  };
}

/** `  Label:   value` lines; the first of a label counts. */
function parseSettings(text: string): Map<string, string> {
  const settings = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, label, value] = /^ {2}(\S[^:]*):+ *(.*?) *$/.exec(line) ?? [];
    if (label !== undefined && value !== undefined && !settings.has(label)) settings.set(label, value);
  }
  return settings;
}

function listening(address: string | undefined): string | undefined {
  return address === undefined || address === "" || address === "Disabled" ? undefined : address;
}
