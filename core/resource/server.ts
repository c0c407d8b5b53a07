import picomatch from "picomatch";
import { z } from "zod";
import { maxChange } from "./max-change.ts";
import { isHidden } from "../paths.ts";
import { apiVersion, metadata, secretReference } from "./common.ts";

/** The side that is the source of truth: the repository (ToAsterisk) or the server (FromAsterisk). */
export const updateDirection = z.enum(["ToAsterisk", "FromAsterisk"]);
export type UpdateDirection = z.infer<typeof updateDirection>;

const port = z.int().min(1).max(65535);
/** A host name or address: nothing that ssh, a shell or a URL could read as something else. */
const hostName = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.:%-]*$/, "is not a host name or address");
const userName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]*\$?$/, "is not a user name");
const absolutePath = z
  .string()
  .regex(/^\/[^\0]*$/, "must be an absolute path")
  .refine((path) => !path.split("/").includes(".."), "must not contain '..'");
const relativeGlob = z
  .string()
  .min(1)
  .refine(
    (glob) => !glob.startsWith("/") && !glob.split("/").includes(".."),
    "must stay below the configuration directory",
  );

const ssh = z.strictObject({
  host: hostName.describe("Where sshd of the server is reached."),
  port: port.default(22),
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

const loopback = /^(127\.\d+\.\d+\.\d+|::1|localhost)$/;

const ami = z
  .strictObject({
    host: hostName
      .default("127.0.0.1")
      .describe("As seen from where the connection starts: the server itself with SSHTunnel."),
    port: port.default(5038),
    via: z.enum(["SSHTunnel", "Direct"]).default("SSHTunnel"),
    tls: tls.optional(),
    allowPlaintext: z
      .boolean()
      .default(false)
      .describe("Direct, without TLS, across a network: named so because it is unsafe."),
    credentialsSecretRef: secretReference.describe("`username` and `password` of the AMI account."),
  })
  .refine(
    (value) =>
      value.via !== "Direct" || value.tls !== undefined || loopback.test(value.host) || value.allowPlaintext,
    {
      message: "via: Direct needs tls, a loopback host, or allowPlaintext: true",
      path: ["via"],
    },
  );

const rule = z
  .strictObject({
    files: relativeGlob,
    updateDirection: updateDirection.optional(),
    unmanaged: z.literal(true).optional(),
  })
  .refine((value) => (value.updateDirection === undefined) !== (value.unmanaged === undefined), {
    message: "a rule has either updateDirection or unmanaged: true",
  });

/** The default of `files`. What these files include belongs to them too. */
export const defaultFiles = ["**/*.conf", "**/*.ael", "**/*.lua"];

const spec = z
  .strictObject({
    ssh: ssh.optional(),
    local: z
      .strictObject({ become: userName.optional() })
      .optional()
      .describe("Asterisk runs on this very machine."),
    ami,
    configDirectory: absolutePath.optional().describe("Default: asked from Asterisk."),
    files: z.array(relativeGlob).min(1).default(defaultFiles),
    updateDirection: updateDirection.optional(),
    rules: z.array(rule).default([]),
    source: z
      .strictObject({ directory: z.string().min(1).describe("Relative to the manifest.") })
      .optional()
      .describe("Where the files live; default: source/<name> beside the manifest."),
    prune: z.boolean().default(false),
    drift: z.enum(["Correct", "Report"]).default("Correct"),
    maxChange,
    allowExec: z.boolean().default(false),
  })
  .refine((value) => (value.ssh === undefined) !== (value.local === undefined), {
    message: "needs either ssh or local",
  })
  .refine((value) => value.ami.tls === undefined || value.ami.via === "Direct", {
    message: "tls needs via: Direct (an SSH tunnel is encrypted already)",
    path: ["ami", "tls"],
  });

/** An Asterisk server as declared: the YAML that `kubectl apply` takes, with the defaults filled in. */
export const asteriskServer = z.strictObject({
  apiVersion,
  kind: z.literal("AsteriskServer"),
  metadata,
  spec,
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
