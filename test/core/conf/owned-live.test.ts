import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type OwnedSection, ownedKeys, restoreOwned, writeOwned } from "../../../core/conf/owned.ts";
import { openSession, put } from "../../support/compare-with-asterisk.ts";
import type { Answer, AnsweredSection, GetConfigSession } from "../../support/get-config.ts";
import { type LabServer, useLab } from "../../support/lab.ts";

const account: OwnedSection = {
  name: "odoo",
  whole: true,
  variables: [
    { name: "secret", value: "a;b\\c=[d]" },
    { name: "deny", value: "0.0.0.0/0" },
    { name: "permit", value: "127.0.0.1" },
    { name: "permit", value: "10.0.0.0/8" },
    { name: "write", value: "none" },
  ],
};
const port: OwnedSection = {
  name: "general",
  whole: false,
  variables: [
    { name: "port", value: "5039" },
    { name: "bindaddr", value: "127.0.0.1" },
  ],
};

const files: [string, string][] = [
  ["empty", ""],
  ["of one comment without an end", "; nothing"],
  [
    "with both sections, and no final newline",
    "[general]\nport=5038\n[odoo]\npermit = 1.2.3.4 ; c\nsecret = x",
  ],
  ["with CRLF and a byte order mark", "\xEF\xBB\xBF[General]\r\nenabled = yes\r\nPort => 1 ; c\r\n"],
  ["with block comments", "[general]\n;-- port=1\n--; port=2 ;-- c --;\n;--\n[odoo]\n--;\nx=1 ;--\n--;\n"],
  [
    "with a template, a second header and +=",
    "[t](!)\nx=1\n[odoo](t)\nsecret=1\n[general]\nport=1\nport+=2\n[b](t)\n[odoo]\nread=all\n",
  ],
  ["with a continued section", "[general]\nenabled=yes\n[b]\ny=1\n[general](+)\nport=1\nz=1\n"],
];

const linesOf = (answer: Answer | undefined, isWanted: (section: string, key: string) => boolean) =>
  sectionsOf(answer).flatMap(({ name, lines }) =>
    lines
      .filter((line) => isWanted(name.toLowerCase(), line.slice(0, line.indexOf("=")).toLowerCase()))
      .map((line) => `[${name.toLowerCase()}] ${line}`),
  );

function sectionsOf(answer: Answer | undefined): AnsweredSection[] {
  if (!Array.isArray(answer)) throw new Error(`Asterisk found the file ${answer ?? "unanswered"}`);
  return answer;
}

const isOurs = (section: string, key: string) =>
  section === "odoo" || (section === "general" && (key === "port" || key === "bindaddr"));

describe.each([22, 16] as const)("Asterisk %i", (asterisk) => {
  const lab = useLab({ asterisk });
  let server: LabServer;
  let session: GetConfigSession;

  beforeAll(async () => {
    session = await openSession(lab.servers[0]);
    server = lab.servers[0] as LabServer;
  });
  afterAll(() => {
    session.close();
  });

  test.each(files)("reads what we wrote into a file %s, and all else as before", async (kind, text) => {
    const folder = `owned/${String(files.findIndex(([other]) => other === kind))}`;
    const before = Buffer.from(text, "latin1");
    const written = writeOwned(before, [port, account]);
    expect(restoreOwned(written, ownedKeys([port, account]), before)).toBe(before);
    const names = [`${folder}/before.conf`, `${folder}/written.conf`];
    await put(
      server,
      new Map([
        [names[0] as string, before],
        [names[1] as string, written],
      ]),
    );
    const [was, is] = await session.getConfig(names);
    for (const section of [port, account]) {
      const ours = linesOf(is, (name, key) => name === section.name && isOurs(name, key));
      expect(ours).toEqual(section.variables.map((one) => `[${section.name}] ${one.name}=${one.value}`));
    }
    const others = (section: string, key: string) => !isOurs(section, key);
    expect(linesOf(is, others)).toEqual(linesOf(was, others));
  });
});
