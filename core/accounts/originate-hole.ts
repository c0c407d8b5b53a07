/** The releases that mended CVE-2024-42365 (GHSA-c4cg-9275-6w44), by branch. */
const mended: Readonly<Record<number, readonly [minor: number, patch: number]>> = {
  18: [24, 2],
  20: [9, 2],
  21: [4, 2],
};

/** The same of Certified Asterisk: the branch, and the first number behind `cert` that is mended. */
const mendedCertified: Readonly<Record<string, number>> = { "18.9": 11, "20.7": 2 };

/**
 * Whether write permission for `originate` lets an account write files and so run code, on that version of Asterisk as it
 * calls itself (`20.9.1`, `18.9-cert10`, `16.28.0~dfsg-0+deb11u4`). Of a version that cannot be read: yes. A
 * distribution's mended build of an old version cannot be told from its number.
 */
export function hasOriginateHole(version: string): boolean {
  const certified = /^(?:certified[-/])?(\d+\.\d+)-cert(\d+)/.exec(version);
  if (certified) {
    const [, branch = "", number] = certified;
    const first = mendedCertified[branch];
    return first === undefined ? Number(branch.split(".")[0]) < 21 : Number(number) < first;
  }
  const plain = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(version);
  if (!plain) return true;
  const [major = 0, minor = 0, patch = 0] = plain.slice(1).map((part) => Number(part ?? 0));
  const first = mended[major];
  if (first === undefined) return major < 22;
  return minor < first[0] || (minor === first[0] && patch < first[1]);
}
