import type { ObservedFile } from "../core/observed.ts";
import type { Evidence } from "./listing.ts";

/** The distributions that are recognised by what they leave on a machine. */
export type DistributionName = "FreePBX" | "Issabel" | "VitalPBX" | "MikoPBX" | "Wazo";

/** Who writes a file, and how that was seen. */
export interface Generator {
  readonly by: DistributionName | "an orchestrator";
  readonly why: string;
}

/** Who else writes into a configuration directory. */
export interface Distribution {
  /** Undefined for a plain Asterisk. */
  readonly name: DistributionName | undefined;
  /** The generator of a file; undefined where nothing says that one exists. */
  generatedBy(path: string): Generator | undefined;
}

/** Files that FreePBX and Issabel write anew or own, by name (distributions: "four kinds of file", a, b and c). */
const FREEPBX_NAMES = [
  /_additional[^/]*\.conf$/,
  /^(sip|iax)_registrations[^/]*\.conf$/,
  /^pjsip\.((transports|endpoint|aor|auth|registration|identify)\.)?conf$/,
  /^(localprefixes|pjsip_notify|modules|indications|amd|res_fax|manager|voicemail)\.conf$/,
  /^(freepbx|amportal)\.conf$/,
  /^pinset_\d+$/,
  /^(keys|backup)\//,
];

/** The user's own, in the name's own words. */
const USERS_NAME = /_custom|_override_/;

const MODULE_LINK = /\/modules\/[^/]+\/etc\//;

/**
 * Tells who generates which file, by the first of these that answers: a link into a module, a mount, a marker in the
 * file, its name, the layout of its directory. Pure. A marker alone proves nothing: people copy such files to plain
 * servers.
 */
export function recogniseDistribution(
  files: readonly ObservedFile[],
  realPath: string,
  evidence: Evidence,
): Distribution {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const mounts = evidence.mounts.flatMap((line) => parseMount(line) ?? []);
  const moduleLinks = files.some((file) => MODULE_LINK.test(file.linkTarget ?? ""));
  const freepbxSigns = countSigns(evidence.found) + (moduleLinks ? 1 : 0);
  const name = nameOf(files, evidence, freepbxSigns);
  const family = name === "Issabel" ? "Issabel" : "FreePBX";

  const generatedBy = (path: string): Generator | undefined => {
    const { linkTarget = "" } = byPath.get(path) ?? {};
    if (MODULE_LINK.test(linkTarget)) return { by: family, why: `it is a link to ${linkTarget}` };
    const mounted = mountedBy(path, linkTarget, realPath, mounts);
    if (mounted !== undefined) return { by: "an orchestrator", why: mounted };
    if (name === "MikoPBX") return { by: name, why: "MikoPBX writes every file from its database" };
    const marker = evidence.markers.get(path);
    if (marker?.includes("wazo-confgen") === true && name === "Wazo")
      return { by: "Wazo", why: "it runs wazo-confgen" };
    if (marker?.includes("auto-generated") === true && freepbxSigns > 0)
      return { by: marker.includes("Issabel") ? "Issabel" : family, why: `it says "${marker}"` };
    if (freepbxSigns >= 2 && !USERS_NAME.test(path) && FREEPBX_NAMES.some((pattern) => pattern.test(path)))
      return { by: family, why: "its name is one that it writes" };
    if (/^(vitalpbx|ombutel)\/[^/]*__(20|25|50)-/.test(path))
      return { by: "VitalPBX", why: "its name is one that it writes" };
    return undefined;
  };
  return { name, generatedBy };
}

function nameOf(
  files: readonly ObservedFile[],
  { found, markers }: Evidence,
  freepbxSigns: number,
): DistributionName | undefined {
  const has = (pattern: RegExp): boolean => found.some((path) => pattern.test(path));
  if (has(/mikopbx/)) return "MikoPBX";
  if (has(/issabel/)) return "Issabel";
  if (freepbxSigns >= 2 || has(/freepbx\.conf|fwconsole/)) return "FreePBX";
  if (has(/vitalpbx/) || files.some((file) => /^(vitalpbx|ombutel)\/[^/]*__\d\d-/.test(file.path)))
    return "VitalPBX";
  if (
    has(/wazo/) ||
    [...markers].some(([path, text]) => /^[^/]+\.d\//.test(path) && /wazo-confgen/.test(text))
  )
    return "Wazo";
  return undefined;
}

function countSigns(found: readonly string[]): number {
  const signs = [/freepbx\.conf$|issabel/, /amportal\.conf$/, /fwconsole$/, /^manager\.conf$/];
  return signs.filter((sign) => found.some((path) => sign.test(path))).length;
}

interface Mount {
  readonly point: string;
  readonly readOnly: boolean;
}

/** One line of /proc/self/mountinfo, as proc(5) describes it. */
function parseMount(line: string): Mount | undefined {
  const words = line.split(" ");
  const [point, options] = words.slice(4);
  if (point === undefined || options === undefined) return undefined;
  const isReadOnly = (list = ""): boolean => list.split(",").includes("ro");
  return {
    point: point.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))),
    readOnly: isReadOnly(options) || isReadOnly(words.at(-1)),
  };
}

function mountedBy(
  path: string,
  linkTarget: string,
  realPath: string,
  mounts: readonly Mount[],
): string | undefined {
  if (/^\.\.data\//.test(linkTarget) || /^\.\.(data|\d{4}_)/.test(path))
    return "it comes from a mounted volume (..data)";
  const absolute = `${realPath}/${path}`;
  const holding = mounts
    .filter(({ point }) => point === "/" || absolute === point || absolute.startsWith(`${point}/`))
    .reduce<Mount | undefined>(
      (best, mount) => (mount.point.length >= (best?.point.length ?? 0) ? mount : best),
      undefined,
    );
  if (holding?.point === absolute) return "it is mounted by itself and can't be replaced";
  if (holding?.readOnly === true) return `it lies on a read-only mount (${holding.point})`;
  return undefined;
}
