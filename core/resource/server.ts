import picomatch from "picomatch";
import { z } from "zod";
import { maxChange } from "./max-change.ts";
import { isHidden } from "../paths.ts";
import { apiVersion, metadata, secretReference } from "./common.ts";
import { consoleSettings } from "./console.ts";
import { interval } from "./duration.ts";
import { gitSource } from "./git-source.ts";
import { withCEL, withRules } from "./rules.ts";
import { telephonyFields } from "./telephony.ts";

/** The side that is the source of truth: the repository (ToAsterisk) or the server (FromAsterisk). */
export const updateDirection = z.enum(["ToAsterisk", "FromAsterisk"]);
export type UpdateDirection = z.infer<typeof updateDirection>;

const port = z.int().min(1).max(65535);
/** A host name or address: nothing that ssh, a shell or a URL could read as something else. */
const hostName = z
  .string()
  .max(253)
  .regex(/^[A-Za-z0-9_:][A-Za-z0-9_.:%-]*$/, "is not a host name or address");
const userName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]*\$?$/, "is not a user name");
const absolutePath = withRules(
  z
    .string()
    .max(1024)
    .regex(/^\/[^\0]*$/, "must be an absolute path"),
  {
    message: "must not contain '..'",
    holds: (path) => !path.split("/").includes(".."),
    cel: "!self.matches('(^|/)[.][.](/|$)')",
  },
);
const relativeGlob = withRules(z.string().min(1).max(1024), {
  message: "must stay below the configuration directory",
  holds: (glob) => !glob.startsWith("/") && !glob.split("/").includes(".."),
  cel: "!self.matches('^/|(^|/)[.][.](/|$)')",
});

const ssh = z.strictObject({
  host: hostName.describe("Where sshd of the server is reached."),
  port: port.default(22).describe("The port of sshd."),
  user: userName
    .optional()
    .describe("The user to log in as; default: the key `username` of the credentials."),
  credentialsSecretRef: secretReference
    .optional()
    .describe(
      "`ssh-privatekey` or `password`, and `known_hosts`. Without it: the SSH agent and the user's known_hosts.",
    ),
  hostKeyPolicy: z
    .enum(["Pinned", "TrustOnFirstUse"])
    .default("Pinned")
    .describe(
      "TrustOnFirstUse stores the key of a server that was never seen before; a changed key is always refused.",
    ),
  become: userName.optional().describe("The user that owns the files, reached through `sudo -n`."),
});

const tls = z.strictObject({
  caSecretRef: secretReference
    .optional()
    .describe("`ca.crt` to verify with; default: the system's authorities."),
  serverName: hostName.optional().describe("The name in the certificate, where it differs from `host`."),
});

const loopback = /^(127[.][0-9]+[.][0-9]+[.][0-9]+|::1|localhost)$/;

const ami = withRules(
  z.strictObject({
    host: hostName
      .default("127.0.0.1")
      .describe("As seen from where the connection starts: the server itself with SSHTunnel."),
    port: port.default(5038).describe("The port of AMI."),
    via: z
      .enum(["SSHTunnel", "Direct"])
      .default("SSHTunnel")
      .describe("SSHTunnel goes through the SSH connection; Direct connects to `host` itself."),
    tls: tls.optional().describe("TLS, for Direct; without it the connection is plain."),
    allowPlaintext: z
      .boolean()
      .default(false)
      .describe("Direct, without TLS, across a network: named so because it is unsafe."),
    credentialsSecretRef: secretReference.describe("`username` and `password` of the AMI account."),
  }),
  {
    message: "via: Direct needs tls, a loopback host, or allowPlaintext: true",
    path: ["via"],
    holds: ({ via, tls, host, allowPlaintext }) =>
      via !== "Direct" || tls !== undefined || loopback.test(host) || allowPlaintext,
    cel: `self.via != 'Direct' || has(self.tls) || self.allowPlaintext || self.host.matches('${loopback.source}')`,
  },
);

const rule = withRules(
  z.strictObject({
    files: relativeGlob.describe("The paths that the rule is for: a glob whose `*` does not cross `/`."),
    updateDirection: updateDirection.optional().describe("The direction of these paths."),
    unmanaged: z.literal(true).optional().describe("These paths are left alone."),
  }),
  {
    message: "a rule has either updateDirection or unmanaged: true",
    holds: ({ updateDirection, unmanaged }) => (updateDirection === undefined) !== (unmanaged === undefined),
    cel: "has(self.updateDirection) != has(self.unmanaged)",
  },
);

const source = withCEL(
  withRules(
    z.strictObject({
      directory: z
        .string()
        .min(1)
        .optional()
        .describe("Relative to the manifest; for the command line and Pulumi, refused in Kubernetes."),
      git: gitSource.optional().describe("A directory of a git repository."),
      resources: z
        .strictObject({})
        .optional()
        .describe(
          "The import is kept in the Secret <name>-import, and ConfFiles are what is declared: the operator's default. " +
            "The command line keeps its default directory.",
        ),
    }),
    {
      message: "needs exactly one of directory, git and resources",
      holds: ({ directory, git, resources }) =>
        [directory, git, resources].filter((one) => one !== undefined).length === 1,
      cel: "[has(self.directory), has(self.git), has(self.resources)].filter(one, one).size() == 1",
    },
  ),
  {
    rule: "!has(self.directory)",
    message: "directory is for the command line and Pulumi: use git, or resources: {}",
  },
);

/** The default of `files`. What these files include belongs to them too. */
export const defaultFiles = ["**/*.conf", "**/*.ael", "**/*.lua"];

const spec = z.strictObject({
  ssh: ssh.optional().describe("How the server is reached. Either this or `local`."),
  local: z
    .strictObject({
      become: userName.optional().describe("The user that owns the files, reached through `sudo -n`."),
    })
    .optional()
    .describe("Asterisk runs on this very machine; for the command line and Pulumi, refused in Kubernetes."),
  ami: ami.describe("How Asterisk's manager interface is reached."),
  configDirectory: absolutePath
    .optional()
    .describe("Asterisk's configuration directory. Default: asked from Asterisk."),
  files: z
    .array(relativeGlob)
    .min(1)
    .max(128)
    .default(defaultFiles)
    .describe(
      "Globs of the files that belong to the server's configuration; what they include belongs to it too.",
    ),
  updateDirection: updateDirection
    .optional()
    .describe(
      "The side that is the source of truth: ToAsterisk writes the source to the server, FromAsterisk the server to the source. Without it nothing is written.",
    ),
  rules: z
    .array(rule)
    .max(128)
    .default([])
    .describe("Paths with a direction of their own, or left alone; the first that matches wins."),
  source: source
    .optional()
    .describe(
      "Where the files live. Default: resources in Kubernetes, else the directory source/<name> beside the manifest.",
    ),
  prune: z
    .boolean()
    .default(false)
    .describe("Whether files that are gone from the source of truth are removed from the other side."),
  drift: z
    .enum(["Correct", "Report"])
    .default("Correct")
    .describe(
      "What is done about changes made on the side that is not the source of truth: undone, or only reported.",
    ),
  maxChange,
  ...telephonyFields,
  console: consoleSettings.optional().describe("The server's console, on the web and in the terminal."),
  allowExec: z
    .boolean()
    .default(false)
    .describe("Accepts `#exec` in files, which runs commands on the server."),
  suspend: z
    .boolean()
    .default(false)
    .describe("Stops the operator's work on this server and on all that belongs to it."),
  interval: interval
    .default("10m")
    .describe("How often the operator compares the server's files with the source, from 1s to 24h."),
});

/** An Asterisk server as declared: the YAML that `kubectl apply` takes, with the defaults filled in. */
export const asteriskServer = z.strictObject({
  apiVersion,
  kind: z.literal("AsteriskServer"),
  metadata,
  spec: withCEL(
    withRules(
      spec,
      {
        message: "needs either ssh or local",
        holds: ({ ssh, local }) => (ssh === undefined) !== (local === undefined),
        cel: "has(self.ssh) != has(self.local)",
      },
      {
        message: "tls needs via: Direct (an SSH tunnel is encrypted already)",
        path: ["ami", "tls"],
        holds: ({ ami }) => ami.tls === undefined || ami.via === "Direct",
        cel: "!has(self.ami.tls) || self.ami.via == 'Direct'",
      },
    ),
    { rule: "!has(self.local)", message: "local is for the command line and Pulumi: the operator needs ssh" },
  ),
});
export type AsteriskServer = z.infer<typeof asteriskServer>;
export type AsteriskServerSpec = AsteriskServer["spec"];

/** What the declaration says of one path below the configuration directory. */
export type PathPolicy =
  | { readonly kind: "Managed"; readonly direction: UpdateDirection }
  | { readonly kind: "DirectionNotSet" }
  | { readonly kind: "Unmanaged"; readonly rule: string };

/** A function that tells the policy of a path. The first rule that matches wins; `*` does not cross `/`. */
export function pathPolicy(
  spec: Pick<AsteriskServerSpec, "rules" | "updateDirection">,
): (path: string) => PathPolicy {
  const rules = spec.rules.map((one) => ({ ...one, matches: picomatch(one.files, { dot: true }) }));
  return (path) => {
    const first = rules.find((one) => one.matches(path));
    if (first?.unmanaged) return { kind: "Unmanaged", rule: first.files };
    const direction = first?.updateDirection ?? spec.updateDirection;
    return direction === undefined ? { kind: "DirectionNotSet" } : { kind: "Managed", direction };
  };
}

/** A function that tells whether a path matches `files`. Hidden paths never do, whatever the pattern. */
export function fileSelector(files: readonly string[]): (path: string) => boolean {
  const matches = picomatch([...files]);
  return (path) => matches(path) && !isHidden(path);
}
