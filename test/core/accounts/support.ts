import { amiAccount } from "../../../core/resource/index.ts";
import type { AMIAccount } from "../../../core/resource/index.ts";
import type { PolicyContext } from "../../../core/accounts/policy.ts";

/** What a manifest holds of a good account. */
export const goodSpec = {
  serverRef: { name: "pbx1" },
  username: "crm",
  secretRef: { name: "crm-ami", key: "password" },
  read: ["call", "cdr"],
  write: ["call"],
  permit: ["127.0.0.1", "10.20.0.0/16", "2001:db8:1::/48"],
};

/** A server as it should be. */
export const goodContext: PolicyContext = {
  secret: "Zee9phae0aiQuoh4",
  asteriskVersion: "22.10.1",
  listener: { reach: "loopback", IPv6: false, TLS: false, web: false },
  distributionOwnsManager: false,
  serverName: "pbx1",
};

/** The manifest of a good account with some fields of its spec changed; one set to undefined is left out. */
export function manifestOf(spec: Readonly<Record<string, unknown>> = {}): unknown {
  return {
    apiVersion: "asterisk-iac.dev/v1alpha1",
    kind: "AMIAccount",
    metadata: { name: "crm" },
    spec: JSON.parse(JSON.stringify({ ...goodSpec, ...spec })) as unknown,
  };
}

/** The same, validated. */
export function accountOf(spec: Readonly<Record<string, unknown>> = {}): AMIAccount {
  return amiAccount.parse(manifestOf(spec));
}
