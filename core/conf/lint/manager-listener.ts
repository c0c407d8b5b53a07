/** Rules for [general] of manager.conf: on what AMI listens. */
import type { LoadedSection, LoadedVariable } from "../load.ts";
import { ipv4Mapped, isAnyAddress, parseAddress } from "./address.ts";
import type { Address } from "./address.ts";
import type { Findings, Spot } from "./findings.ts";
import { hashFix } from "./hash.ts";
import { quote } from "./inert.ts";

/** Who can reach AMI. `unknown`: [general] is in another file. */
export interface Listener {
  readonly reach: "off" | "loopback" | "one-address" | "everywhere" | "unknown";
  readonly IPv6: boolean;
  /** It listens for TLS too; the plain port cannot be switched off alone. */
  readonly TLS: boolean;
  /** Asterisk's web server offers AMI too, on the address of http.conf. */
  readonly web: boolean;
}

const generalKeys = new Set(
  (
    "enabled webenabled port bindaddr brokeneventsaction allowmultiplelogin displayconnects timestampevents debug " +
    "httptimeout authtimeout authlimit channelvars disabledevents tlsenable tlscertfile tlscert tlsprivatekey " +
    "tlscipher tlsbindaddr tlsservercipherorder tlsdisablev1 tlsdisablev11 tlsdisablev12 sslenable sslcert " +
    "sslprivatekey sslcipher sslbindaddr block-sockets"
  ).split(" "),
);

/** `::`, where AMI listens if nothing else is said. */
const everywhere: Address = new Array<number>(16).fill(0);

/**
 * Who can reach AMI, by the first [general] of manager.conf's effective view.
 * @param isWhole whether what is not said here is not said at all: the root is manager.conf itself
 */
export function readListener(
  isWhole: boolean,
  general: { readonly variables: readonly { readonly name: string; readonly value: string }[] } | undefined,
): Listener {
  let enabled = false;
  let [TLS, web] = [false, false];
  let address = everywhere;
  for (const { name, value } of general?.variables ?? []) {
    const key = name.toLowerCase();
    if (key === "enabled") enabled = isTrue(value);
    else if (key === "webenabled") web = isTrue(value);
    else if (key === "tlsenable" || key === "sslenable") TLS = isTrue(value);
    else if (key === "bindaddr") address = parseAddress(value, "ignore") ?? address;
  }
  if (!isWhole && !general) return { reach: "unknown", IPv6: true, TLS: false, web: false };
  if (!enabled) return { reach: "off", IPv6: false, TLS: false, web: false };
  const reached = ipv4Mapped(address);
  const IPv6 = reached.length === 16;
  const isLoopback = IPv6 ? reached.every((byte, at) => byte === (at === 15 ? 1 : 0)) : reached[0] === 127;
  const reach = isLoopback ? "loopback" : isAnyAddress(address) ? "everywhere" : "one-address";
  return { reach, IPv6, TLS, web };
}

/**
 * Looks at [general] and says who can reach AMI.
 * @param isWhole whether what is not said here is not said at all: the root is manager.conf itself
 */
export function lintListener(
  isWhole: boolean,
  general: LoadedSection | undefined,
  spot: Spot,
  findings: Findings,
): Listener {
  let address = everywhere;
  let said: LoadedVariable | undefined;
  for (const variable of general?.variables ?? []) {
    const key = variable.name.toLowerCase();
    if (key === "port") lintPort(variable, findings);
    else if (key === "webenabled" && isTrue(variable.value)) webEnabled(variable, findings);
    else if (key === "bindaddr") {
      const parsed = parseAddress(variable.value, "ignore");
      if (parsed) [address, said] = [parsed, variable];
      else refusedAddress(variable, isAnyAddress(address), findings);
    } else if (key === "tlsbindaddr" && !parseAddress(variable.value, "accept")) {
      refusedAddress(variable, isAnyAddress(address), findings);
    } else if (!generalKeys.has(key)) unknownKey(variable, findings);
  }
  const listener = readListener(isWhole, general);
  if (listener.reach !== "everywhere") return listener;
  if (said) {
    listensEverywhere(
      findings.valueSpot(said),
      `${quote(said.value)} is every address of the machine`,
      findings,
    );
  } else if (!general?.variables.some(({ name }) => name.toLowerCase() === "bindaddr")) {
    listensEverywhere(
      spot,
      "Without `bindaddr`, AMI listens on every address of the machine, IPv6 too",
      findings,
    );
  }
  return listener;
}

/** ast_true of main/utils.c. */
export function isTrue(value: string): boolean {
  return /^(yes|true|y|t|1|on)$/i.test(value);
}

function refusedAddress(variable: LoadedVariable, isAny: boolean, findings: Findings): void {
  const { name, value } = variable;
  const instead =
    name.toLowerCase() === "tlsbindaddr"
      ? "listens for TLS on the address of `bindaddr`"
      : isAny
        ? "listens on all interfaces"
        : "keeps the address of the line before";
  const hash = hashFix(variable, findings);
  findings.error(findings.valueSpot(variable), {
    rule: "bindaddr-invalid",
    message: `${quote(value)} is no IP address, so Asterisk ignores it and ${instead}.${hash ? " `#` starts no comment." : ""}`,
    fix: hash?.fix ?? "Write one numeric address, such as `127.0.0.1`; names are not looked up.",
    ...(hash ? { edits: hash.edits } : {}),
  });
}

function listensEverywhere(spot: Spot, what: string, findings: Findings): void {
  findings.warning(spot, {
    rule: "bindaddr-any",
    message: `${what}: AMI is plain text, and the accounts below are all that guards it.`,
    fix: "Write `bindaddr = 127.0.0.1` and reach it through SSH, or use `tlsenable`.",
  });
}

function lintPort(variable: LoadedVariable, findings: Findings): void {
  const { value } = variable;
  const number = /^[\t-\r ]*\+?(0[xX][0-9a-fA-F]+|\d+)$/.exec(value)?.[1];
  const port = number === undefined ? NaN : /^0\d/.test(number) ? Number.parseInt(number, 8) : Number(number);
  if (port >= 1024 && port <= 65535) return;
  const hash = hashFix(variable, findings);
  findings.error(findings.valueSpot(variable), {
    rule: "port-invalid",
    message: `${quote(value)} is no port from 1024 to 65535: Asterisk warns and listens on a port that nobody chose.`,
    fix: hash?.fix ?? "Write `port = 5038`.",
    ...(hash ? { edits: hash.edits } : {}),
  });
}

function webEnabled(variable: LoadedVariable, findings: Findings): void {
  findings.warning(findings.valueSpot(variable), {
    rule: "web-enabled",
    message: "AMI can be reached through Asterisk's web server too, on the address and port of http.conf.",
    fix: "Write `webenabled = no` unless something uses it. Turning it off takes a restart: a reload leaves it on.",
  });
}

function unknownKey(variable: LoadedVariable, findings: Findings): void {
  findings.warning(findings.valueSpot(variable), {
    rule: "unknown-key",
    message: `AMI knows no setting ${quote(variable.name)} in [general] and ignores it.`,
    fix: "Correct the name, or remove the line.",
  });
}
