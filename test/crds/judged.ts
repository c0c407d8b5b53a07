/** Specs and what is to be said of them, by `parse` and by the API server alike. */
export type Kind = "AsteriskServer" | "AMIAccount" | "ConfFile";

export interface Judged {
  readonly kind: Kind;
  readonly what: string;
  readonly spec: Record<string, unknown>;
}

/** A spec that is refused; `says`: part of the message of both, or of each where a pattern speaks for the API server. */
export interface Refused extends Judged {
  readonly says: string | { readonly parse: string; readonly apiServer: string };
}

const ssh = { host: "pbx1.example.com" };
const ami = { credentialsSecretRef: { name: "ami" } };
const server = { ssh, ami };
const account = { serverRef: { name: "pbx1" }, username: "crm", generate: true };
const file = { serverRef: { name: "pbx1" }, path: "queues.conf" };
const key = { name: "files", key: "queues.conf" };
const section = { name: "support", lines: "timeout = 20" };

const rowsOf =
  <Row extends object>(kind: Kind, base: Record<string, unknown>) =>
  (rows: readonly (readonly [what: string, change: Record<string, unknown>, rest: Row])[]) =>
    rows.map(([what, change, rest]) => ({ kind, what, spec: without({ ...base, ...change }), ...rest }));

/** Of fields, those that have a value: a change to undefined takes a field away. */
function without(spec: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined));
}

const says = (message: string) => ({ says: message });
const pattern = (parse: string, apiServer = "should match") => ({ says: { parse, apiServer } });

const url = "ssh://git@example.com/pbx.git";

const needsTLS = says("via: Direct needs tls, a loopback host, or allowPlaintext: true");
const eitherOr = says("a rule has either updateDirection or unmanaged: true");
const outside = says("must stay below the configuration directory");

const refusedServers = rowsOf<Pick<Refused, "says">>(
  "AsteriskServer",
  server,
)([
  ["neither ssh nor local", { ssh: undefined }, says("needs either ssh or local")],
  ["both ssh and local", { local: {} }, says("needs either ssh or local")],
  ["Direct across a network, plain", { ami: { ...ami, via: "Direct", host: "10.0.0.1" } }, needsTLS],
  [
    "Direct to what begins like loopback",
    { ami: { ...ami, via: "Direct", host: "127.0.0.1.evil.com" } },
    needsTLS,
  ],
  ["TLS in a tunnel", { ami: { ...ami, tls: {} } }, says("tls needs via: Direct")],
  ["a rule without either", { rules: [{ files: "*.conf" }] }, eitherOr],
  [
    "a rule with both",
    { rules: [{ files: "*.conf", unmanaged: true, updateDirection: "ToAsterisk" }] },
    eitherOr,
  ],
  ["a rule for files outside", { rules: [{ files: "../*.conf", unmanaged: true }] }, outside],
  ["files from the root", { files: ["/etc/passwd"] }, outside],
  ["files that climb", { files: ["a/../../b"] }, outside],
  ["a directory that climbs", { configDirectory: "/etc/../root" }, says("must not contain '..'")],
  ["a relative directory", { configDirectory: "etc" }, pattern("must be an absolute path")],
  ["an option as host", { ssh: { host: "-oProxyCommand=x" } }, pattern("is not a host name or address")],
  ["an option as user", { ssh: { ...ssh, user: "-l" } }, pattern("is not a user name")],
  ["a port beyond all", { ssh: { ...ssh, port: 65536 } }, pattern("Too big", "less than or equal to 65535")],
  ["no source of either kind", { source: {} }, says("needs exactly one of directory, git and resources")],
  ["sources of two kinds", { source: { git: { url }, resources: {} } }, says("needs exactly one of")],
  ["an unknown direction", { updateDirection: "Both" }, pattern("Invalid option", "Unsupported value")],
  ["a percentage beyond all", { maxChange: "101%" }, pattern("", "should match")],
  ["less than nothing", { maxChange: -1 }, pattern("", "greater than or equal to 0")],
  ["a country that is none", { country: "XX" }, pattern("Invalid option", "Unsupported value")],
  ["a time zone that is none", { timeZone: "Europe/Bonn" }, pattern("is no time zone", "spec.timeZone")],
  ["a time zone by its offset", { timeZone: "+01:00" }, pattern("is not the name of a time zone")],
  ["an extension in words", { numbers: { extensions: ["all"] } }, pattern("is not an extension such as")],
  ["a pattern that is open", { numbers: { extensions: ["_[0-9"] } }, pattern("is not an extension such as")],
  [
    "a trunk without its technology",
    { numbers: { trunks: ["carrier"] } },
    pattern("is not an endpoint such as"),
  ],
  ["a prefix with a plus", { numbers: { outsidePrefix: "+0" } }, pattern("is not a prefix of digits")],
  ["a wait without an end", { activeCallsTimeout: "48h" }, says("is not at least 1s and at most 24h")],
  ["a policy of its own", { onActiveCalls: "Ask" }, pattern("Invalid option", "Unsupported value")],
  ["a negative interval", { interval: "-5s" }, pattern("is not a duration")],
  ["an interval of no length", { interval: "0s" }, says("is not at least 1s and at most 24h")],
  ["an interval of two days", { interval: "48h" }, says("is not at least 1s and at most 24h")],
  [
    "an interval beyond what a number holds",
    { interval: "99999999999999999999h" },
    { says: { parse: "is not at least 1s", apiServer: "spec.interval" } },
  ],
]);

const mask = { parse: "mask", apiServer: "has a mask that is neither" };
/** Of every text that becomes a value in a file. */
const badTexts = [
  ["with a line break", "a\nb", "holds a line break"],
  ["that begins with a blank", " a", "begins or ends with a blank"],
  ["that ends with a byte order mark", "a\ufeff", "begins or ends with a blank"],
  ["with a comment", "a;--b", "holds `;--` or `--;`"],
  ["that begins with >", ">a", "begins with `>`"],
  ["of too many bytes", "é".repeat(200), "has more than 255 bytes"],
] as const;
const refusedTexts = badTexts.flatMap(([what, text, message]) =>
  rowsOf<Pick<Refused, "says">>(
    "AMIAccount",
    account,
  )([
    [`a filter ${what}`, { eventFilters: [text] }, says(message)],
    [`a variable ${what}`, { variables: { A: text } }, says(message)],
    [`a reason ${what}`, { privilegedReason: text }, says(message)],
  ]),
);

const noAddress = says("is not a numeric address, address/bits or address/netmask");

const refusedAccounts = rowsOf<Pick<Refused, "says">>(
  "AMIAccount",
  account,
)([
  ["no secret", { generate: undefined }, says("needs either secretRef or generate: true")],
  ["two secrets", { secretRef: key }, says("needs either secretRef or generate: true")],
  ["generate: false", { generate: false }, pattern("", "Unsupported value")],
  ["AMI's own section", { username: "General" }, says("is the name of AMI's own settings")],
  ["a name with a bracket", { username: "crm]" }, pattern("is not an account's name")],
  [
    "a name too long",
    { username: "a".repeat(80) },
    pattern("more than 79 characters", "may not be more than 79"),
  ],
  ["an unknown class", { read: ["everything"] }, pattern("is not a class of AMI", "Unsupported value")],
  [
    "a class twice",
    { read: ["call", "call"] },
    { says: { parse: "names a class twice", apiServer: "Duplicate value" } },
  ],
  ["none and another class of events", { read: ["none", "call"] }, says("names `none` beside other classes")],
  [
    "none and another class of actions",
    { write: ["none", "call"] },
    says("names `none` beside other classes"),
  ],
  ["a host name", { permit: ["crm.example.com"] }, noAddress],
  ["an address in short", { permit: ["10.1"] }, noAddress],
  ["an octal address", { permit: ["010.0.0.1"] }, noAddress],
  ["an IPv6 zone", { permit: ["fe80::1%eth0"] }, noAddress],
  ["an IPv4 address as IPv6", { permit: ["::ffff:10.0.0.1"] }, noAddress],
  ["an empty address", { deny: [""] }, noAddress],
  [
    "a comment after an address",
    { permit: ["10.0.0.1#"] },
    { says: { parse: "holds a `#`", apiServer: "is not a numeric address" } },
  ],
  [
    "two addresses",
    { permit: ["10.0.0.1,10.0.0.2"] },
    { says: { parse: "holds a comma", apiServer: "is not a numeric address" } },
  ],
  [
    "more bits than IPv4 has",
    { permit: ["10.0.0.0/33"] },
    { says: { ...mask, parse: "refused by Asterisk" } },
  ],
  [
    "more bits than IPv6 has",
    { permit: ["fd00::/129"] },
    { says: { ...mask, parse: "refused by Asterisk" } },
  ],
  ["bits that are no number", { permit: ["10.0.0.0/x"] }, { says: { ...mask, parse: "Asterisk" } }],
  ["no bits", { permit: ["10.0.0.0/"] }, { says: { ...mask, parse: "" } }],
  ["two masks", { permit: ["10.0.0.0/8/8"] }, { says: { ...mask, parse: "" } }],
  ["a netmask with holes", { permit: ["10.0.0.0/255.0.255.0"] }, { says: mask }],
  ["a netmask with holes that denies", { deny: ["10.0.0.0/255.0.255.0"] }, { says: mask }],
  ["a short netmask", { permit: ["10.0.0.0/255.0"] }, { says: { ...mask, parse: "" } }],
  ["a value with a NUL", { variables: { A: "\0" } }, says("holds a line break, a NUL")],
  [
    "a name that is none",
    { variables: { "A B": "1" } },
    {
      says: {
        parse: "is not the name of a channel variable",
        apiServer: "a name is not that of a channel variable",
      },
    },
  ],
  [
    "a name and value too long together",
    { variables: { ABC: "a".repeat(253) } },
    {
      says: {
        parse: "has more than 255 bytes with its name",
        apiServer: "has more than 255 bytes with its value",
      },
    },
  ],
  ["a reason of blanks", { privilegedReason: "  " }, says("is empty")],
  ["a timeout that Asterisk ignores", { writeTimeout: "99ms" }, says("is not at least 100ms")],
  ["a timeout beyond what Asterisk holds", { writeTimeout: "600h" }, says("is not at least 100ms")],
  ["a file with a wildcard", { file: "manager.d/*.conf" }, says("is not a file that an include")],
  ["a file with a quote", { file: 'manager.d/".conf' }, says("is not a file that an include")],
  ["a file with a backslash", { file: "manager.d/a\\b.conf" }, says("is not a file that an include")],
  ["a file too long", { file: "a".repeat(201) }, says("is not a file that an include")],
  ["another namespace's server", { serverRef: { name: "a/b" } }, pattern("is not a valid resource name")],
]);

const onlyOne = says("has only one of content, contentFrom and sections");
const exactlyOne = says("needs exactly one of secretKeyRef, configMapKeyRef and file");

const refusedFiles = rowsOf<Pick<Refused, "says">>(
  "ConfFile",
  file,
)([
  ["content twice", { content: "", contentFrom: { secretKeyRef: key } }, onlyOne],
  ["content and sections", { content: "", sections: [section] }, onlyOne],
  ["content from nowhere", { contentFrom: {} }, exactlyOne],
  ["content from two places", { contentFrom: { secretKeyRef: key, configMapKeyRef: key } }, exactlyOne],
  ["no sections", { sections: [] }, pattern("", "should have at least 1 items")],
  [
    "a section twice",
    { sections: [section, section] },
    { says: { parse: "names a section twice", apiServer: "Duplicate value" } },
  ],
  [
    "a section twice in other letters",
    { sections: [section, { ...section, name: "Support" }] },
    says("names a section twice"),
  ],
  [
    "a section without a name",
    { sections: [{ ...section, name: "" }] },
    pattern("", "should be at least 1 chars long"),
  ],
  [
    "a key that is none",
    { contentFrom: { secretKeyRef: { ...key, key: "a/b" } } },
    pattern("is not a key of a secret"),
  ],
]);

const badPaths = [
  ["an absolute path", "/etc/passwd", "is absolute"],
  ["a path that climbs", "a/../../b", "has an empty, '.' or '..' component"],
  ["a path that begins above", "../manager.conf", "has an empty, '.' or '..' component"],
  ["a path to itself", "./queues.conf", "has an empty, '.' or '..' component"],
  ["a path with an empty component", "a//b", "has an empty, '.' or '..' component"],
  ["a folder", "a/", "has an empty, '.' or '..' component"],
  ["an empty path", "", "is empty"],
  ["a hidden file", ".queues.conf", "has a name that begins with a dot"],
  ["a file in a hidden folder", ".git/hooks", "has a name that begins with a dot"],
  ["a path with a line break", "a\nb", "holds a NUL or a line break"],
  ["a path with a NUL", "a\0b", "holds a NUL or a line break"],
] as const;
const refusedPaths = badPaths.flatMap(([what, path, message]) => [
  ...rowsOf<Pick<Refused, "says">>("ConfFile", file)([[what, { path }, says(message)]]),
  ...rowsOf<Pick<Refused, "says">>("AMIAccount", account)([[what, { file: path }, says(message)]]),
]);

const badURLs = [
  ["a program", "ext::sh -c id"],
  ["a program that looks like ssh", "ext::ssh@example.com:a"],
  ["an option", "--upload-pack=id"],
  ["an option of ssh", "ssh://-oProxyCommand=id/a"],
  ["an option as user", "-u@example.com:a"],
  ["an option as path", "git@example.com:--upload-pack=id"],
  ["a file", "file:///srv/a.git"],
  ["a path", "/srv/a.git"],
  ["a password", "https://git:secret@example.com/a"],
  ["a line break", "https://example.com/a\n--upload-pack=id"],
  ["a blank", "https://example.com/a b"],
] as const;
const refusedSources = rowsOf<Pick<Refused, "says">>(
  "AsteriskServer",
  server,
)([
  ...badURLs.map(
    ([what, bad]) =>
      [
        `a repository's url with ${what}`,
        { source: { git: { url: bad } } },
        pattern("is not https://…", "spec.source.git.url"),
      ] as const,
  ),
  ...["http://git.example.com/a", "http://127.0.0.1.example.com/a"].map(
    (plain) =>
      [
        `plaintext: ${plain}`,
        { source: { git: { url: plain } } },
        says("http:// needs a loopback host"),
      ] as const,
  ),
  ...["-b", "a..b", "a//b", "/a", "a/", "a b", "@{u}", "a:b", ".a", "+a"].map(
    (branch) =>
      [
        `the branch ${branch}`,
        { source: { git: { url, branch } } },
        pattern("is not the name of a branch"),
      ] as const,
  ),
  ["a branch that is a lock", { source: { git: { url, branch: "a.lock/b" } } }, says("ends in .lock")],
  ...["-rf", "a/-b", "/a", "a//b", "a/", "a\nb"].map(
    (path) =>
      [
        `the path ${path}`,
        { source: { git: { url, path } } },
        pattern("is not a path below", "should match"),
      ] as const,
  ),
  ...["..", "a/../b", ".git", "./a"].map(
    (path) => [`the path ${path}`, { source: { git: { url, path } } }, says("begins with a dot")] as const,
  ),
  [
    "a pull request with nobody's token",
    { source: { git: { url, pullRequest: { forge: "Gitea" } } } },
    says("pullRequest needs credentialsSecretRef"),
  ],
  [
    "a forge whose API is asked in the clear",
    {
      source: {
        git: {
          url,
          credentialsSecretRef: { name: "git" },
          pullRequest: { forge: "Gitea", apiURL: "http://git.example/api/v1" },
        },
      },
    },
    says("pullRequest.apiURL: http:// needs a loopback host"),
  ],
  [
    "recipients of a file that is not there",
    { source: { git: { url, secrets: "Plain", ageRecipients: ["age1a"] } } },
    says("ageRecipients is for secrets: Age"),
  ],
]);

export const refused: readonly Refused[] = [
  ...refusedServers,
  ...refusedSources,
  ...refusedAccounts,
  ...refusedTexts,
  ...refusedPaths,
  ...refusedFiles,
];

/** What the command line and Pulumi take, and the operator can't. */
export const refusedInKubernetes = [
  ...rowsOf<{ readonly says: string }>(
    "AsteriskServer",
    server,
  )([
    ["local", { ssh: undefined, local: {} }, { says: "local is for the command line and Pulumi" }],
    ["a directory", { source: { directory: "a" } }, { says: "directory is for the command line and Pulumi" }],
  ]),
  ...rowsOf<{ readonly says: string }>(
    "ConfFile",
    file,
  )([["a file", { contentFrom: { file: "a" } }, { says: "file is for the command line and Pulumi" }]]),
];

export const accepted: readonly Judged[] = [
  ...rowsOf(
    "AsteriskServer",
    server,
  )([
    ["as little as can be", {}, {}],
    ["all that can be", allOfAServer(), {}],
    ["Direct with TLS", { ami: { ...ami, via: "Direct", host: "10.0.0.1", tls: { serverName: "pbx" } } }, {}],
    ["Direct to IPv6's loopback", { ami: { ...ami, via: "Direct", host: "::1" } }, {}],
    [
      "Direct, plain, as was asked for",
      { ami: { ...ami, via: "Direct", host: "a", allowPlaintext: true } },
      {},
    ],
    ["a number of changes", { maxChange: 0 }, {}],
    ...[
      "https://git.example.com/pbx/configuration.git",
      "https://[2001:db8::1]:8443/a",
      "ssh://git@git.example.com:2222/pbx.git",
      "git@git.example.com:pbx/configuration.git",
      "http://127.0.0.1:3000/a",
      "http://[::1]/a",
    ].map((each) => [`the repository ${each}`, { source: { git: { url: each } } }, {}] as const),
    ["a repository's root", { source: { git: { url, path: ".", branch: "release/2.x" } } }, {}],
    [
      "plaintext, as was asked for",
      { source: { git: { url: "http://git.example.com/a", allowPlaintext: true } } },
      {},
    ],
    ["two dots in a name", { files: ["a..b/*.conf", "..."] }, {}],
  ]),
  ...rowsOf(
    "AMIAccount",
    account,
  )([
    ["as little as can be", {}, {}],
    ["all that can be", allOfAnAccount(), {}],
    ["nobody's events", { read: ["none"] }, {}],
    ["the longest name", { username: "a".repeat(79) }, {}],
    [
      "every form of an address",
      {
        permit: [
          "10.0.0.1",
          "10.0.0.0/8",
          "10.0.0.0/255.0.0.0",
          "::1",
          "fd00::/64",
          "0.0.0.0/0.0.0.0",
          "10.1.2.0/255.255.255.128",
          "10.0.0.0/08",
          "::1/000",
          "fd00::/ffff::",
          "64:ff9b::10.0.0.1/96",
        ],
      },
      {},
    ],
    ["255 bytes", { eventFilters: ["a".repeat(255)], variables: { A: "b".repeat(253) } }, {}],
  ]),
  ...rowsOf(
    "ConfFile",
    file,
  )([
    ["nothing but a path", {}, {}],
    ["content", { content: "[general]\n" }, {}],
    ["content from a ConfigMap", { contentFrom: { configMapKeyRef: key } }, {}],
    ["sections", { sections: [section, { ...section, name: "sales", exclusive: true }] }, {}],
    ["odd paths", { path: "-rf/a b/..c.d/é.conf".replace("..c", "c..") }, {}],
  ]),
];

function allOfAServer(): Record<string, unknown> {
  return {
    ssh: {
      ...ssh,
      port: 2222,
      user: "admin",
      credentialsSecretRef: { name: "ssh" },
      hostKeyPolicy: "TrustOnFirstUse",
      become: "asterisk",
    },
    configDirectory: "/etc/asterisk",
    files: ["**/*.conf"],
    updateDirection: "FromAsterisk",
    rules: [
      { files: "voicemail.conf", unmanaged: true },
      { files: "manager.d/*", updateDirection: "ToAsterisk" },
    ],
    source: { resources: {} },
    prune: true,
    drift: "Report",
    maxChange: "100%",
    country: "DE",
    timeZone: "America/Argentina/Buenos_Aires",
    numbers: {
      extensions: ["100", "_[12]XX", "_*9.", "_N!"],
      trunks: ["PJSIP/carrier"],
      outsidePrefix: "0",
      internationalPrefix: "00",
      callerFormat: "E164WithoutPlus",
    },
    calls: { credentialsSecretRef: { name: "pbx1-calls" } },
    onActiveCalls: "Wait",
    activeCallsTimeout: "1m30s",
    allowExec: true,
    suspend: true,
    interval: "1m30s",
  };
}

function allOfAnAccount(): Record<string, unknown> {
  return {
    generate: undefined,
    secretRef: key,
    read: ["call", "cdr"],
    write: ["system", "originate"],
    permit: ["127.0.0.1"],
    deny: ["0.0.0.0/0"],
    allowMultipleLogin: false,
    displayConnects: false,
    writeTimeout: "596h",
    eventFilters: ["!Event: RTCP"],
    variables: { "CDR(accountcode)": "crm", TENANT: "" },
    privilegedReason: "it originates calls",
    allowAnyAddress: true,
    allowWeakSecret: true,
    allowVariables: true,
    allowPlaintext: true,
    file: "manager.d/crm.conf",
    deletionPolicy: "Retain",
  };
}
