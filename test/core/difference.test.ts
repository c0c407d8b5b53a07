import { describe, expect, test } from "@jest/globals";
import { explainDetail, explainEffect, groupEffects, summarize } from "../../core/difference.ts";
import type { Files } from "../support/views.ts";
import { difference, told, viewOf } from "../support/views.ts";

/** The sentences of the only effect. */
function details(root: string, before: Files, after: Files): string[] {
  const { effects } = difference(root, before, after);
  expect(effects).toHaveLength(1);
  return effects.flatMap((effect) => effect.details.map(explainDetail));
}

describe("pjsip.conf", () => {
  const pjsip = `[transport-udp]
type=transport
protocol=udp
bind=0.0.0.0

[base](!)
type=endpoint
context=internal
disallow=all
allow=ulaw,alaw

[100](base)
aors=100
auth=100-auth
[100-auth]
type=auth
username=100
password=hush-one
[100]
type=aor
max_contacts=1

[unused](!)
type=endpoint
`;

  test("an endpoint with its aor and auth is added: three things, told apart by type", () => {
    const after = `${pjsip}[101](base)\naors=101\n[101]\ntype=aor\nmax_contacts=2\n[101]\ntype=auth\npassword=hush\n`;
    const added = difference("pjsip.conf", pjsip, after);
    expect(told(added)).toEqual(["aor 101 added", "auth 101 added", "endpoint 101 added"]);
    expect(summarize(added)).toBe("1 aor added, 1 auth added, 1 endpoint added");
    expect(added.effects[0]).toMatchObject({ file: "pjsip.conf", line: 27 });
    expect(added.effects[2]?.details.map(explainDetail)).toContain("context = internal added");
  });

  test("a setting of one of two sections of the same name changes: only that one is named", () => {
    const after = pjsip.replace("max_contacts=1", "max_contacts=3");
    expect(told(difference("pjsip.conf", pjsip, after))).toEqual(["aor 100 changed"]);
    expect(details("pjsip.conf", pjsip, after)).toEqual(["max_contacts = 1 → 3"]);
  });

  test("a password changes: neither value is in the difference", () => {
    const changed = difference("pjsip.conf", pjsip, pjsip.replace("hush-one", "hush-two-and-longer"));
    expect(JSON.stringify(changed)).not.toContain("hush");
    expect(changed.effects).toMatchObject([
      { kind: "auth", action: "changed", details: [{ action: "changed", name: "password", secret: true }] },
    ]);
    expect(changed.effects[0]?.details.map(explainDetail)).toEqual(["password: secret changed"]);
  });

  test("the length of a secret is not told either", () => {
    const of = (password: string) =>
      JSON.stringify(difference("pjsip.conf", "", `[a]\ntype=auth\npassword=${password}\n`));
    expect(of("x")).toBe(of("a-much-longer-one"));
  });

  test("a template changes: the endpoints made of it do, and it says how many", () => {
    const before = `${pjsip}[101](base)\n`;
    const changed = difference("pjsip.conf", before, before.replace("context=internal", "context=sales"));
    expect(told(changed)).toEqual(["endpoint 100 changed", "endpoint 101 changed", "template base changed"]);
    expect(groupEffects(changed.effects).map((group) => explainEffect(...group))).toEqual([
      "endpoints 100, 101 changed",
      "template base changed: reaches 2 sections",
    ]);
  });

  test("templates on the way to a section are not counted as reached", () => {
    const before = "[a](!)\nx=1\n[b](!,a)\n[100](b)\ntype=endpoint\n";
    const { effects } = difference("pjsip.conf", before, before.replace("x=1", "x=2"));
    expect(effects.map(({ name, reaches }) => [name, reaches])).toEqual([
      ["100", undefined],
      ["a", 1],
      ["b", 1],
    ]);
  });

  test("a template that nothing is made of changes: it reaches nobody", () => {
    const changed = difference("pjsip.conf", pjsip, `${pjsip}context=x\n`);
    expect(told(changed)).toEqual(["template unused changed"]);
    expect(changed.effects[0]?.reaches).toBe(0);
    expect(summarize(changed)).toBe("1 template changed (nobody inherits)");
  });

  test("a section is written out instead of made of a template: no change for Asterisk", () => {
    const after = pjsip.replace(
      "[100](base)\n",
      "[100]\ntype=endpoint\ncontext=internal\ndisallow=all\nallow=ulaw,alaw\n",
    );
    const same = difference("pjsip.conf", pjsip, after);
    expect(same.effects).toEqual([]);
    expect(summarize(same)).toBe("no change for Asterisk");
  });

  test("a section moves to an included file, comments change: no change for Asterisk", () => {
    const after = { "pjsip.conf": '; moved\n#include "part.conf"\n', "part.conf": pjsip };
    expect(difference("pjsip.conf", pjsip, after).effects).toEqual([]);
  });

  test("codecs in another order are another offer", () => {
    const before = "[100]\ntype=endpoint\ndisallow=all\nallow=ulaw\nallow=alaw\n";
    const after = "[100]\ntype=endpoint\ndisallow=all\nallow=alaw\nallow=ulaw\n";
    expect(details("pjsip.conf", before, after)).toEqual([
      "order of codecs changed: disallow=all, allow=ulaw, allow=alaw → disallow=all, allow=alaw, allow=ulaw",
    ]);
    const swapped = before.replace("type=endpoint\ndisallow=all", "disallow=all\ntype=endpoint");
    expect(difference("pjsip.conf", before, swapped).effects).toEqual([]);
  });

  test("FreePBX: the fragments count as one file", () => {
    const before = {
      "pjsip.conf": "#include pjsip.endpoint.conf\n#include pjsip.aor.conf\n",
      "pjsip.endpoint.conf":
        "#include pjsip.endpoint_custom_post.conf\n[100]\ntype=endpoint\ncontext=from-internal\n",
      "pjsip.endpoint_custom_post.conf": "",
      "pjsip.aor.conf": "[100]\ntype=aor\nmax_contacts=1\n",
    };
    const after = {
      ...before,
      "pjsip.endpoint.conf": `${before["pjsip.endpoint.conf"].replace(/^.*\n/, "")}#include pjsip.endpoint_custom_post.conf\n`,
      "pjsip.endpoint_custom_post.conf": "[100](+)\ndirect_media=no\n",
    };
    const changed = difference("pjsip.conf", before, after);
    expect(told(changed)).toEqual(["endpoint 100 changed"]);
    expect(changed.effects[0]?.details).toEqual([
      {
        ...{ action: "added", name: "direct_media", new: "no" },
        ...{ file: "pjsip.endpoint_custom_post.conf", line: 2 },
      },
    ]);
  });
});

describe("extensions.conf", () => {
  const dialplan = `[general]
static=yes
[globals]
TRUNK=PJSIP/trunk
AMPMGRPASS=0123456789abcdef
[internal]
include => features
exten => 100,1,NoOp(call)
 same => n,Dial(PJSIP/100,20)
 same => n(end),Hangup()
exten => 100,hint,PJSIP/100
[features]
exten => *97,1,VoiceMailMain(\${CALLERID(num)})
`;

  test("an extension and its hint are added", () => {
    const after = dialplan.replace(
      "[features]",
      "exten => 101,1,Dial(PJSIP/101)\nexten => 101,hint,PJSIP/101\n[features]",
    );
    const added = difference("extensions.conf", dialplan, after);
    expect(told(added)).toEqual(["extension 101 added in internal", "hint 101 added in internal"]);
    expect(summarize(added)).toBe("1 extension added in internal, 1 hint added in internal");
  });

  test("an argument changes: the priority is told, resolved from n", () => {
    expect(details("extensions.conf", dialplan, dialplan.replace("100,20", "100,30"))).toEqual([
      "priority 2: Dial(PJSIP/100,20) → Dial(PJSIP/100,30)",
    ]);
  });

  test("a step is put in between: the later ones are renumbered, not changed", () => {
    const after = dialplan.replace(
      "same => n,Dial(PJSIP/100,20)",
      "same => n,Wait(1)\n same => n,Dial(PJSIP/100,25)",
    );
    expect(details("extensions.conf", dialplan, after)).toEqual([
      "priority 2: Wait(1) added",
      "priority 3: Dial(PJSIP/100,20) → Dial(PJSIP/100,25)",
      "priorities 2–3 → 3–4",
    ]);
  });

  test("the same steps written with numbers, other spacing and without same: no change for Asterisk", () => {
    const after = dialplan
      .replace(" same => n,Dial(PJSIP/100,20)", "exten=>1-00,2,Dial(PJSIP/100,20)")
      .replace(" same => n(end),Hangup()", "exten => 100,3(end), Hangup");
    expect(difference("extensions.conf", dialplan, after).effects).toEqual([]);
  });

  test("a context spread over two sections is one, and the first to take a priority keeps it", () => {
    const after = `${dialplan}[internal]\nexten => 100,2,Dial(PJSIP/ignored)\nexten => 102,1,Hangup()\n`;
    expect(told(difference("extensions.conf", dialplan, after))).toEqual(["extension 102 added in internal"]);
  });

  test("an override before it changes an extension that did not move", () => {
    const before = {
      "extensions.conf": "#include extensions_override_freepbx.conf\n#include extensions_additional.conf\n",
      "extensions_override_freepbx.conf": "",
      "extensions_additional.conf": "[ext-local]\nexten => 100,1,NoOp(100)\nexten => 100,n,Dial(PJSIP/100)\n",
    };
    const after = {
      ...before,
      "extensions_override_freepbx.conf": "[ext-local]\nexten => 100,1,Playback(closed)\n",
    };
    expect(details("extensions.conf", before, after)).toEqual(["priority 1: NoOp(100) → Playback(closed)"]);
  });

  test("a label in the place of a priority", () => {
    const before = "[a]\nexten => 1,1(start),NoOp()\nexten => 1,n,Wait(1)\nexten => 1,start+4,Hangup()\n";
    const after = before.replace("start+4", "5");
    expect(difference("extensions.conf", before, after).effects).toEqual([]);
  });

  test("includes of a context: added with its place, and in another order", () => {
    expect(
      details(
        "extensions.conf",
        dialplan,
        dialplan.replace("include => f", "include => parkedcalls\ninclude => f"),
      ),
    ).toEqual(["include = parkedcalls added (1 of 2)"]);
    expect(
      details("extensions.conf", "[a]\ninclude => x\ninclude => y\n", "[a]\ninclude => y\ninclude => x\n"),
    ).toEqual(["order of include changed: include=x, include=y → include=y, include=x"]);
  });

  test("globals: the last of a name counts; a password among them stays hidden", () => {
    const after = dialplan.replace("0123456789abcdef", "fedcba9876543210");
    const changed = difference("extensions.conf", dialplan, after);
    expect(told(changed)).toEqual(["global AMPMGRPASS changed"]);
    expect(JSON.stringify(changed)).not.toMatch(/0123456789|fedcba/);
    const overridden = dialplan.replace("TRUNK=PJSIP/trunk", "TRUNK=PJSIP/old\nTRUNK=PJSIP/trunk");
    expect(difference("extensions.conf", dialplan, overridden).effects).toEqual([]);
  });

  test("globals in another order may mean something else, for one is built from another", () => {
    const before = "[globals]\nA=1\nB=${A}\nA=2\n";
    const moved = difference("extensions.conf", before, "[globals]\nA=2\nB=${A}\n");
    expect(moved.effects.map((effect) => explainEffect(effect))).toEqual(["order of globals changed"]);
  });

  test("a line that Asterisk skips has no effect", () => {
    const after = `${dialplan}[features]\nexten => 5,n,NoOp(nothing before it)\nexten => 6,nowhere,NoOp()\n`;
    expect(difference("extensions.conf", dialplan, after).effects).toEqual([]);
  });

  test("a secret inside a dialplan application stays hidden", () => {
    const before = "[a]\nexten => 1,1,Authenticate(4711)\nexten => 1,2,Set(DB_PASSWORD=hush)\n";
    const after = "[a]\nexten => 1,1,Authenticate(4712)\nexten => 1,2,Set(DB_PASSWORD=hash)\n";
    expect(JSON.stringify(difference("extensions.conf", before, after))).not.toMatch(/471|hush|hash/);
    expect(details("extensions.conf", before, after)).toEqual([
      "priority 1: secret changed",
      "priority 2: secret changed",
    ]);
  });
});

describe("manager.conf", () => {
  const manager = `[general]
enabled = yes
bindaddr = 127.0.0.1
[crm]
secret = hush-one
deny = 0.0.0.0/0.0.0.0
permit = 10.0.0.0/8
read = call,reporting
write = call
`;

  test("permissions are sets: an account gains and loses classes", () => {
    const after = manager
      .replace("call,reporting", "reporting,call")
      .replace("write = call", "write = originate");
    expect(details("manager.conf", manager, after)).toEqual(["loses write=call", "gains write=originate"]);
  });

  test("of several lines the last one grants", () => {
    expect(
      difference("manager.conf", manager, manager.replace("write = call", "write = all\nwrite = call"))
        .effects,
    ).toEqual([]);
  });

  test("an empty entry that grants everything is told as what it grants", () => {
    const after = manager.replace("write = call", "write = call,,call");
    expect(details("manager.conf", manager, after)).toContain("gains write=originate");
  });

  test("access rules keep their order; a secret is only said to have changed", () => {
    const after = manager
      .replace("hush-one", "hush-two")
      .replace("permit = 10", "permit = 192.168.1.1\npermit = 10");
    expect(details("manager.conf", manager, after)).toEqual([
      "secret changed",
      "permit = 192.168.1.1 added (2 of 3)",
    ]);
    const swapped = manager.replace(/(deny.*\n)(permit.*\n)/, "$2$1");
    expect(details("manager.conf", manager, swapped)).toEqual([
      "order of rules changed: deny=0.0.0.0/0.0.0.0, permit=10.0.0.0/8 → permit=10.0.0.0/8, deny=0.0.0.0/0.0.0.0",
    ]);
  });

  test("the listener is a general setting", () => {
    const changed = difference("manager.conf", manager, manager.replace("127.0.0.1", "0.0.0.0"));
    expect(summarize(changed)).toBe("general settings changed");
    expect(told(changed)).toEqual(["general settings general changed"]);
  });
});

describe("other files", () => {
  test("queues: members by interface, in their order", () => {
    const before = "[sales]\nstrategy=linear\nmember => PJSIP/100\nmember => PJSIP/101,1,Anna\n";
    const after =
      "[sales]\nstrategy=linear\nmember => PJSIP/101,2,Anna\nmember => PJSIP/100\nmember => PJSIP/102\n";
    expect(details("queues.conf", before, after)).toEqual([
      "member PJSIP/102 added (3 of 3)",
      "member PJSIP/101 = 1,Anna → 2,Anna",
      "order of members changed: member PJSIP/100, member PJSIP/101=1,Anna → member PJSIP/101=2,Anna, member PJSIP/100, member PJSIP/102",
    ]);
  });

  test("voicemail: mailboxes in their context, the PIN hidden", () => {
    const before = "[general]\nformat=wav\n[default]\n100 => 4711,Front Desk\n";
    const after =
      "[general]\nformat=wav\n[default]\n100 => 4712,Front Desk,desk@example.com\n101 => 9999,Anna\n";
    const changed = difference("voicemail.conf", before, after);
    expect(told(changed)).toEqual(["mailbox 100 changed in default", "mailbox 101 added in default"]);
    expect(JSON.stringify(changed)).not.toMatch(/4711|4712|9999/);
    expect(changed.effects[0]?.details.map(explainDetail)).toEqual([
      "password: secret changed",
      "e-mail = desk@example.com added",
    ]);
  });

  test.each([
    ["iax.conf", "[trunk]\ntype=peer\nhost=a\n", "peer trunk changed", "host = a → b"],
    [
      "musiconhold.conf",
      "[hold]\nmode=files\ndirectory=a\n",
      "music class hold changed",
      "directory = a → b",
    ],
    ["confbridge.conf", "[x]\ntype=user\npin=1\nquiet=a\n", "user profile x changed", "quiet = a → b"],
    ["features.conf", "[featuremap]\nblindxfer => a\n", "feature blindxfer changed", "code = a → b"],
    ["logger.conf", "[logfiles]\nfull => a\n", "logger channel full changed", "levels = a → b"],
    ["rtp.conf", "[general]\nrtpstart=a\n", "section general changed", "rtpstart = a → b"],
  ])("%s", (root, before, effect, detail) => {
    const after = before.replace(/(=>? ?)a\n/, "$1b\n");
    expect(told(difference(root, before, after))).toEqual([effect]);
    expect(details(root, before, after)).toEqual([detail]);
  });

  test("a file that nobody told us about: order counts, of lines and of sections", () => {
    const dahdi = "[channels]\ncontext=a\nchannel=1\ncontext=b\nchannel=2\n";
    const swapped = "[channels]\ncontext=b\nchannel=1\ncontext=a\nchannel=2\n";
    expect(details("chan_dahdi.conf", dahdi, swapped)).toEqual(["order of lines changed"]);
    const sections = difference("x.conf", "[a]\nv=1\n[b]\nv=1\n", "[b]\nv=1\n[a]\nv=1\n");
    expect(sections.effects.map((effect) => explainEffect(effect))).toEqual(["order of sections changed"]);
  });

  test("of several lines of one name the first goes and another comes last: neither became the other", () => {
    expect(details("modules.conf", "[modules]\nload=a\nload=b\n", "[modules]\nload=b\nload=c\n")).toEqual([
      "load = a removed",
      "load = c added",
    ]);
  });

  test("peers in another order may match other callers", () => {
    const [one, other] = ["[a]\ntype=peer\n", "[b]\ntype=peer\n"];
    const swapped = difference("iax.conf", one + other, other + one);
    expect(swapped.effects.map((effect) => explainEffect(effect))).toEqual(["order of peers changed"]);
  });

  test("of two sections of one name the first goes: that one is told, the other did not change", () => {
    const before = "[a]\nv=1\n[a]\nv=2\n";
    const removed = difference("x.conf", before, "[a]\nv=2\n");
    expect(removed.effects).toMatchObject([{ action: "removed", details: [{ old: "1" }], line: 1 }]);
  });

  test("a feature code of one star is no secret", () => {
    expect(details("features.conf", "[featuremap]\nautomon => *\n", "[featuremap]\nautomon => **\n")).toEqual(
      ["code = * → **"],
    );
  });
});

describe("what Asterisk does not read", () => {
  test("the new file is refused: nothing is told of its content", () => {
    const refused = difference("queues.conf", "[a]\nmember => x\n", "[a]\n[b\n");
    expect(refused).toMatchObject({ effects: [], refused: { kind: "no-closing-bracket", line: 2 } });
    expect(summarize(refused)).toBe("Asterisk refuses the file");
  });

  test("the old file was refused: said, and compared as far as it was read", () => {
    const mended = difference("queues.conf", "[a]\n[b\n", "[a]\n[b]\n");
    expect(mended).toMatchObject({ refusedBefore: { line: 2 } });
    expect(told(mended)).toEqual(["queue b added"]);
  });

  test("a file that comes or goes", () => {
    const queues = { "queues.conf": "[a]\n[b]\n" };
    expect(told(difference("queues.conf", {}, queues))).toEqual(["queue a added", "queue b added"]);
    const gone = difference("queues.conf", queues, {});
    expect(told(gone)).toEqual(["queue a removed", "queue b removed"]);
    expect(gone.refused).toBeUndefined();
  });

  test("an #exec makes it incomplete", () => {
    expect(viewOf("x.conf", "[a]\n#exec /bin/true\n").incomplete).toBe(true);
    expect(difference("x.conf", "[a]\n", "[a]\n#exec /bin/true\n").incomplete).toBe(true);
    expect(difference("x.conf", "[a]\n", "[a]\n")).toEqual({ root: "x.conf", effects: [] });
  });
});
