import { expect, test } from "@jest/globals";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packEntries } from "../../asterisk/transaction-entries.ts";

test("tar unpacks what was packed: every size around a block, names of any letters, as files of mode 0600", () => {
  const sizes = [0, 1, 511, 512, 513, 10_000];
  const contents: { path: string; bytes?: Buffer }[] = [
    ...sizes.map((size) => ({ path: `a/size ${size}.conf`, bytes: Buffer.alloc(size, 0xff) })),
    { path: "-x.conf", bytes: Buffer.from("like an option") },
    { path: "in/Zürich '*\\.conf", bytes: Buffer.from("letters") },
    { path: `${"l".repeat(100)}`, bytes: Buffer.from("as long as can be") },
    { path: "removed.conf" },
  ];
  const directory = mkdtempSync(join(tmpdir(), "asterisk-iac-entries-"));
  try {
    const { entries, together } = packEntries(contents);
    expect(together).toBe(true);
    const [empty, ...rest] = entries;
    expect(empty).toEqual(Buffer.alloc(1024));
    execFileSync("tar", ["-xmof", "-", "-C", directory], { input: Buffer.concat(rest) });
    const expected = contents.flatMap(({ path, bytes }) =>
      bytes === undefined ? [] : [[path.slice(path.lastIndexOf("/") + 1), bytes] as const],
    );
    expect(readdirSync(directory).sort()).toEqual(expected.map(([name]) => name).sort());
    for (const [name, bytes] of expected) {
      expect(readFileSync(join(directory, name)).equals(bytes)).toBe(true);
      expect(statSync(join(directory, name)).mode & 0o777).toBe(0o600);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a name that a header can't hold in whole is told", () => {
  expect(packEntries([{ path: `in/${"ü".repeat(51)}`, bytes: Buffer.alloc(1) }]).together).toBe(false);
});
