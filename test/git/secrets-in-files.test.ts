import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { secretRules } from "../../core/conf/secrets.ts";
import { secretReferences } from "../../core/secret-references.ts";
import { dropUnused, putInSecrets, takeOutSecrets } from "../../git/secrets-in-files.ts";
import type { TakeOutOptions } from "../../git/secrets-in-files.ts";
import type { SecretValues } from "../../git/secrets.ts";
import { customFiles, generatedFiles, installedFiles, linkedFiles } from "../../lab/freepbx-files.ts";
import { confBytes, fragmentText } from "../support/conf-arbitraries.ts";

const vault = { name: "pbx1-secrets", advice: "Ask for it.", rules: secretRules };
const none: SecretValues = new Map();

type Taken = ReturnType<typeof takeOutSecrets>;

function take(path: string, text: string | Uint8Array, options: Partial<TakeOutOptions> = {}): Taken {
  const bytes = typeof text === "string" ? Buffer.from(text) : text;
  return takeOutSecrets(path, bytes, { vault, values: none, ...options });
}

/** Takes the secrets of what a file has become out of it. */
function again(path: string, text: string, { bytes, values }: Taken, options: Partial<TakeOutOptions> = {}) {
  return take(path, text, { before: bytes, values, ...options });
}

const put = (path: string, { bytes, values }: Taken, foreign?: Parameters<typeof putInSecrets>[4]): string =>
  putInSecrets(path, bytes, vault, values, foreign).toString();

const plain = (values: SecretValues): Record<string, string> =>
  Object.fromEntries([...values].map(([key, value]) => [key, value.toString()]));

describe("secrets taken out of a file", () => {
  test("leave references with keys that say where they are from, and everything else as it was", () => {
    const file =
      "[alice](!)\r\ntype = auth ; who\r\n password =  hunter2 \r\n;secret=old\r\n\r\n[bob]\npassword => two;words\nusername=bob";
    const taken = take("pjsip.conf", file);
    expect(taken.bytes.toString()).toBe(
      "[alice](!)\r\ntype = auth ; who\r\n password =  @{secret:pbx1-secrets/pjsip.conf..alice..password} \r\n" +
        ";secret=@{secret:pbx1-secrets/pjsip.conf..alice..secret}\r\n\r\n" +
        "[bob]\npassword => @{secret:pbx1-secrets/pjsip.conf..bob..password}\nusername=bob",
    );
    expect(plain(taken.values)).toEqual({
      "pjsip.conf..alice..password": "hunter2",
      "pjsip.conf..alice..secret": "old",
      "pjsip.conf..bob..password": "two;words",
    });
    expect(put("pjsip.conf", taken)).toBe(file);
  });

  test.each([
    ["iax.conf", "[general]\nregister => jo:CANARY@host\nregister => al:CANARY2@host ; x", 2],
    ["voicemail.conf", "[default]\n100 => CANARY,Jo,jo@x,,imapuser=jo|imappassword=CANARY2\n", 2],
    ["voicemail.conf", "[default]\njo => CANARY\n[general]\nformat=wav\nmaxmsg=3\n", 1],
    ["voicemail.conf", "[default]\njo => CANARY ; jo@example.org\n", 1],
    ["vm_general.inc", "100 => CANARY,Jo\njo => 4711,Jo\n", 2],
    ["extensions.conf", "[a]\nexten => 1,1,Dial(IAX2/jo:CANARY@peer/1)\n same => n,Set(x=y)", 1],
    ["extensions.conf", '[a]\nexten => 1,1,GotoIf($["${CONF_PIN}" = "CANARY"]?x)', 1],
    ["extensions.conf", "[a]\nexten => 1,1,GotoIf($[x${PIN} != xCANARY]?x)", 1],
    ["extensions.conf", "[a]\nexten => 1,1,Set(CONFBRIDGE(user,pin)=CANARY)", 1],
    ["extensions.conf", "[a]\nexten => 1,1,Authenticate(CANARY,a)", 1],
    ["extensions_additional.conf", "[globals]\nAMPDBPASS = CANARY\nAMPMGRPASS = CANARY2\n", 2],
    ["pjsip.conf", "[t]\ntype=registration\nserver_uri=sip:jo:CANARY@host\n", 1],
    ["dundi.conf", "[mappings]\ne164 => x,0,IAX2,dundi:CANARY@1.2.3.4/${NUMBER},nopartial", 1],
    ["extconfig.conf", "[settings]\nps_auths => curl,http://jo:CANARY@host/x\n", 1],
    ["res_odbc.conf", "[a]\nusername => jo\npassword => CANARY\n", 1],
    ["res_curl.conf", "[globals]\nproxyuserpwd=CANARY\nssl_keypasswd=CANARY2\n", 2],
    ["rtp.conf", "[general]\nturnusername=jo\nturnpassword=CANARY\n", 1],
    ["hep.conf", "[general]\ncapture_password = CANARY\n", 1],
    ["prometheus.conf", "[general]\nauth_password = CANARY\n", 1],
    ["xmpp.conf", "[a]\nsecret=CANARY\nrefresh_token=CANARY2\noauth_secret=CANARY3\n", 3],
    ["users.conf", "[6000]\nsecret=CANARY\nvmsecret=CANARY2\n", 2],
    ["minivm.conf", "[a@b]\npincode=CANARY\n", 1],
    ["wallboard", "secret = CANARY\n", 1],
    ["pinset_1", "CANARY\nCANARY2\n", 2],
    ["disa-1.conf", "CANARY|from-internal|Jo\n;\n", 1],
    ["manager.d/p\xE4.conf", "[jo\xFF]\nsecret=CANARY\xA0\xE9\n", 1],
  ])("%s: %j", (path, text, count) => {
    const bytes = Buffer.from(text, "latin1");
    const taken = take(path, bytes);
    expect(taken.bytes.toString("latin1") + [...taken.values.keys()].join()).not.toContain("CANARY");
    expect(secretReferences(taken.bytes.toString("latin1"), path)).toHaveLength(count);
    expect([...taken.values.keys()].join("")).toMatch(/^[-._a-zA-Z0-9]+$/);
    expect(putInSecrets(path, taken.bytes, vault, taken.values)).toEqual(bytes);
  });

  test("none is left in what FreePBX writes, and all of it comes back", () => {
    const values = {
      amiPort: 5038,
      sipPort: 5060,
      managerSecret: "CANARY0123456789abcdef0123456789",
      guiSecret: "CANARY0123456789CANARY0123456789abcdef01",
      databasePassword: "CANARYdatabase",
      engine: { username: "engine", password: "CANARYengine" },
      modules: ["pbx_config"],
      moduleDirectory: "/usr/lib/asterisk/modules",
    };
    // An identity, which no glob of files matches.
    const installed = { ...installedFiles(values, 1), "freepbx-id": "" };
    const linked = Object.assign({}, ...Object.values(linkedFiles)) as Record<string, string>;
    const all = { ...linked, ...generatedFiles(values), ...installed, ...customFiles(values, []) };
    let kept = none;
    for (const [path, text] of Object.entries(all)) {
      const taken = take(path, text, { values: kept });
      kept = taken.values;
      expect(taken.bytes.toString()).not.toMatch(/CANARY|4711/);
      expect(put(path, taken)).toBe(text);
    }
    expect([...kept.keys()]).toEqual([
      "extensions_additional.conf..globals..AMPDBPASS",
      "extensions_additional.conf..globals..AMPMGRPASS",
      "manager_additional.conf..wallboard..secret",
      "pjsip.auth.conf..100-auth..password",
      "manager.conf..admin..secret",
      "manager.conf.bak..admin..secret",
      "wallboard..-..secret",
      "voicemail.conf..default..100",
      "manager_custom.conf..engine..secret",
    ]);
  });

  test.each([
    ["voicemail.conf", "[general]\nexternpassnotify=/usr/bin/x\nvm-password=custom_sound\nmaxmsg=100\n"],
    ["extensions.ael", "context a { 100 => Dial(SIP/100,20); }\n101 => Hangup();"],
    [
      "voicemail.conf",
      "[a]\n1@b => 1@c\n[zonemessages]\nhere=Europe/Here|'vm-received' Q, IMp\n; see tz=x, y\n",
    ],
    ["confbridge.conf", "[menu]\ntype=menu\n1=toggle_mute\n*1=x\n; (0=off, 1=on) 256 / 8 = 32\n"],
    ["pjsip.conf", "[a]\npassword = \nauth=a\npriv_key_file=/x\n"],
    ["http.conf", "[general]\ntlsprivatekey=/etc/x.pem\n"],
    ["iax.conf", "[a]\ninkeys=key1:key2\nauth=md5\nsecretpath=dundi\n"],
  ])("%s has none in %j", (path, text) => {
    const { bytes, values } = take(path, text);
    expect(bytes.toString()).toBe(text);
    expect(values.size).toBe(0);
  });

  test("what looks like a reference on the server is none in the repository", () => {
    const file = "[a]\nx = @{secret:trunk/password} @@{secret:no\nsecret = @{secret:a/b}\nsecret=@@x\n";
    const taken = take("a.conf", file);
    expect(secretReferences(taken.bytes.toString(), "a.conf").map(({ name }) => name)).toEqual([
      "pbx1-secrets",
      "pbx1-secrets",
    ]);
    expect(put("a.conf", taken)).toBe(file);
  });

  test("a sign in front of a secret does not make its reference an escape", () => {
    const rules = [{ key: /^x$/, part: /^[^@]*@+(.*)/d }];
    const taken = take("a.conf", "x=a@@CANARY", { vault: { ...vault, rules } });
    expect(taken.bytes.toString()).toBe("x=a@{secret:pbx1-secrets/a.conf..-..x}");
    expect(put("a.conf", taken)).toBe("x=a@@CANARY");
  });

  test("a name that holds a secret does not become a part of a key", () => {
    const file = "[https://jo:CANARY@host/]\nsecret=x\n[a]\nx://a:CANARYsecret@h=1\n";
    const taken = take("a.conf", file);
    expect(taken.bytes.toString() + [...taken.values.keys()].join()).not.toContain("CANARY");
    expect(put("a.conf", taken)).toBe(file);
  });

  test("different places have different keys, however their names are written", () => {
    const sections = [
      "a",
      "a.",
      ".a",
      "a..b",
      "b",
      "a.b",
      "-",
      "",
      "-x2d",
      "a-x2e",
      "A",
      "ä",
      "n".repeat(300),
    ];
    const names = [...sections, "n".repeat(299)];
    const keys = ["x.conf", "x", "x.conf..a"].flatMap((path) =>
      names.flatMap((name) => [...take(path, `[${name}]\nsecret=1\nsecret=1\nmysecret=1`).values.keys()]),
    );
    expect(new Set(keys).size).toBe(keys.length);
    expect(Math.max(...keys.map(({ length }) => length))).toBeLessThanOrEqual(253);
  });
});

describe("what refers to a value goes on doing so", () => {
  const file = "[alice]\nsecret=one\n[bob]\nsecret=two\n";
  const first = take("iax.conf", file);

  test("when nothing changed, and when sections and lines come and go around it", () => {
    expect(again("iax.conf", file, first)).toEqual(first);
    const more = again("iax.conf", `[new]\nsecret=zero\n${file}`, first);
    expect(more.bytes.toString()).toBe(
      `[new]\nsecret=@{secret:pbx1-secrets/iax.conf..new..secret}\n${first.bytes.toString()}`,
    );
    const less = again("iax.conf", file, more);
    expect(less.bytes).toEqual(first.bytes);
    expect(dropUnused(vault, less.values, [more.bytes], [less.bytes])).toEqual(first.values);
  });

  test("when a line of its kind is added before it or taken away", () => {
    const lines = (...names: string[]) => names.map((name) => `register => ${name}:p${name}@h\n`).join("");
    const before = take("iax.conf", lines("a", "b", "c"));
    const added = again("iax.conf", lines("new", "a", "c"), before);
    expect(added.bytes.toString().split("\n").slice(1)).toEqual([
      before.bytes.toString().split("\n")[0],
      before.bytes.toString().split("\n")[2],
      "",
    ]);
    expect(put("iax.conf", added)).toBe(lines("new", "a", "c"));
  });

  test("a changed value has another key: what was committed or kept before stays whole", () => {
    const changed = again("iax.conf", file.replace("one", "three"), first);
    expect(changed.bytes.toString()).toBe(
      first.bytes.toString().replace("alice..secret", "alice..secret..2"),
    );
    expect(put("iax.conf", changed)).toBe(file.replace("one", "three"));
    expect(put("iax.conf", { bytes: first.bytes, values: changed.values })).toBe(file);
    expect(again("iax.conf", file, changed)).toEqual({ bytes: first.bytes, values: changed.values });
  });

  const password = Buffer.from("s3cret");
  const foreign = () => password;

  test("a reference of the user's, a comment behind it too, as long as its value is the same", () => {
    const before = Buffer.from(
      "[t]\nsecret = @{secret:trunk/password} ; the trunk\n[u]\nurl=ws://a:@{secret:trunk/password}@h\n",
    );
    const live = "[t]\nsecret = s3cret ; the trunk\n[u]\nurl=ws://a:s3cret@h\n";
    const same = take("iax.conf", live, { before, foreign });
    expect(same).toEqual({ bytes: before, values: none });
    const changed = take("iax.conf", live.replace("s3cret", "other"), { before, foreign });
    expect(changed.bytes.toString()).toBe(
      before
        .toString()
        .replace("@{secret:trunk/password} ; the trunk", "@{secret:pbx1-secrets/iax.conf..t..secret}"),
    );
    expect(put("iax.conf", changed, foreign)).toBe(live.replace("s3cret", "other"));
  });

  test("one that two places share is parted when one of them changes", () => {
    const shared = Buffer.from("[alice]\nsecret=one\n[bob]\nsecret=two\n");
    const before = Buffer.from(
      "[alice]\nsecret=@{secret:pbx1-secrets/iax.conf..bob..secret}\n[bob]\nsecret=@{secret:pbx1-secrets/iax.conf..bob..secret}\n",
    );
    const values = new Map([["iax.conf..bob..secret", Buffer.from("two")]]);
    const parted = take("iax.conf", shared, { before, values });
    expect(parted.bytes.toString()).toBe(first.bytes.toString());
    expect(put("iax.conf", parted)).toBe(shared.toString());
  });

  test("a value that another file refers to is not changed with this one", () => {
    const before = Buffer.from("[alice]\nsecret=@{secret:pbx1-secrets/shared}\n");
    const values = new Map([["shared", Buffer.from("one")]]);
    expect(take("iax.conf", "[alice]\nsecret=one\n", { before, values }).bytes).toEqual(before);
    const parted = take("iax.conf", "[alice]\nsecret=two\n", { before, values });
    expect(plain(parted.values)).toEqual({ shared: "one", "iax.conf..alice..secret": "two" });
  });

  test("nor is one that only a file that was kept refers to", () => {
    const kept = new Map([["iax.conf..alice..secret", Buffer.from("old")]]);
    const taken = take("iax.conf", "[alice]\nsecret=new\n", { values: kept });
    expect(plain(taken.values)).toEqual({
      "iax.conf..alice..secret": "old",
      "iax.conf..alice..secret..2": "new",
    });
  });

  test("a secret that somebody committed in the clear is taken out with the next change", () => {
    const before = Buffer.from("[alice]\nsecret=one\n");
    expect(take("iax.conf", before, { before }).bytes.toString()).not.toContain("one");
  });

  test("what is no longer referred to is dropped, and nothing that was put there by hand", () => {
    const values = new Map([...first.values, ["by-hand", Buffer.from("x")]]);
    const after = again("iax.conf", "[bob]\nsecret=two\n", { ...first, values });
    const left = dropUnused(vault, after.values, [first.bytes], [after.bytes]);
    expect([...left.keys()]).toEqual(["iax.conf..bob..secret", "by-hand"]);
    const used = dropUnused(vault, after.values, [first.bytes], [after.bytes, first.bytes]);
    expect([...used.keys()]).toEqual([...values.keys()]);
  });
});

describe("values put in", () => {
  const refer = (reference: string) => Buffer.from(`a\nb=@{secret:${reference}}`);
  const own = refer("pbx1-secrets/k");

  test("a missing one is told with what to do", () => {
    expect(() => putInSecrets("a.conf", own, vault, none)).toThrow(
      expect.objectContaining({
        code: "SecretMissing",
        message: "a.conf refers to the secret pbx1-secrets, key k, which is not there",
        hint: "Ask for it.",
      }),
    );
  });

  test.each([
    ["", "is empty"],
    ["canary\n[x]", "line break"],
  ])("%j is refused, for it can't be from a file", (value, why) => {
    const values = new Map([["k", Buffer.from(value)]]);
    expect(() => putInSecrets("a.conf", own, vault, values)).toThrow(why);
    expect(() => putInSecrets("a.conf", own, vault, values)).not.toThrow("canary");
  });

  test("from elsewhere, what would begin a comment is refused, and from the vault it is not", () => {
    const values = new Map([["k", Buffer.from("a;b")]]);
    expect(putInSecrets("a.conf", own, vault, values).toString()).toBe("a\nb=a;b");
    expect(() => putInSecrets("a.conf", refer("x/k"), vault, none, () => Buffer.from("a;b"))).toThrow(
      "comment",
    );
  });
});

describe("for any bytes", () => {
  const paths = fc.constantFrom(
    "pjsip.conf",
    "voicemail.conf",
    "extensions.conf",
    "a b/\u20AC.conf",
    "pinset_1",
  );
  const secretLines = fc.constantFrom(
    ...["secret=@{secret:pbx1-secrets/k}", "password => \xE9;x", "100 => 1,Jo", "x=https://a:b@c", "[s]"],
    ...["register => a:@@b@c", "@{secret:", "}", "=", "pin=", "sips:a:b@", "\0secret=\r", "type=auth", ""],
  );
  const withSecrets = fc
    .array(fc.tuple(secretLines, fc.constantFrom("\n", "\r\n", "", "@", " ")), { maxLength: 12 })
    .map((lines) => Buffer.from(lines.flat().join(""), "latin1"));
  const files = fc.oneof(
    withSecrets,
    confBytes,
    fragmentText.map((text) => Buffer.from(text, "latin1")),
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  );

  /** Jest compares long Buffers slowly. */
  const expectSame = (one: Uint8Array, other: Uint8Array): void => {
    if (!Buffer.from(one).equals(other)) expect(one).toEqual(other);
  };

  test("what was taken out and put in again is what was there, and taking it again changes nothing", () => {
    fc.assert(
      fc.property(paths, files, (path, bytes) => {
        const taken = take(path, bytes);
        expectSame(putInSecrets(path, taken.bytes, vault, taken.values), bytes);
        const twice = take(path, bytes, { before: taken.bytes, values: taken.values });
        expectSame(twice.bytes, taken.bytes);
        expect([...twice.values.keys()]).toEqual([...taken.values.keys()]);
      }),
      { numRuns: 1500 },
    );
  });

  test("after any file in the place of any other, too, whatever that one refers to", () => {
    fc.assert(
      fc.property(paths, files, files, (path, old, bytes) => {
        const first = take(path, old);
        const taken = take(path, bytes, { before: first.bytes, values: first.values });
        expectSame(putInSecrets(path, taken.bytes, vault, taken.values), bytes);
        expectSame(putInSecrets(path, first.bytes, vault, taken.values), old);
        const left = dropUnused(vault, taken.values, [first.bytes], [taken.bytes]);
        expectSame(putInSecrets(path, taken.bytes, vault, left), bytes);
        // What somebody wrote by hand there may be anything.
        const odd = take(path, bytes, { before: old, values: first.values, foreign: () => old });
        expectSame(
          putInSecrets(path, odd.bytes, vault, odd.values, () => old),
          bytes,
        );
      }),
      { numRuns: 800 },
    );
  });
});
