/** What the runtime reads of an object's metadata. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  /** RFC 3339. */
  readonly creationTimestamp?: string;
  /** RFC 3339; set once the object is being deleted. */
  readonly deletionTimestamp?: string;
  readonly finalizers?: readonly string[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

/** Any object of Kubernetes. */
export interface KubernetesObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
}

/** A Secret as the API stores it: `data` is base64. */
export interface Secret extends KubernetesObject {
  readonly type?: string;
  readonly data?: Readonly<Record<string, string>>;
  readonly immutable?: boolean;
}

export interface ConfigMap extends KubernetesObject {
  readonly data?: Readonly<Record<string, string>>;
  /** base64. */
  readonly binaryData?: Readonly<Record<string, string>>;
}

/** coordination.k8s.io/v1; times are RFC 3339 with microseconds. */
export interface Lease extends KubernetesObject {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

/** A kind of namespaced object and where the API has it. */
export interface ResourceKind {
  /** `v1` for the core group, else `<group>/<version>`. */
  readonly apiVersion: string;
  readonly kind: string;
  /** The name in paths, e.g. `asteriskservers`. */
  readonly plural: string;
}

const ours = "asterisk-iac.dev/v1alpha1";

/** The kinds that the operator reads or writes. */
export const kinds = {
  asteriskServer: { apiVersion: ours, kind: "AsteriskServer", plural: "asteriskservers" },
  amiAccount: { apiVersion: ours, kind: "AMIAccount", plural: "amiaccounts" },
  confFile: { apiVersion: ours, kind: "ConfFile", plural: "conffiles" },
  secret: { apiVersion: "v1", kind: "Secret", plural: "secrets" },
  configMap: { apiVersion: "v1", kind: "ConfigMap", plural: "configmaps" },
  event: { apiVersion: "v1", kind: "Event", plural: "events" },
  lease: { apiVersion: "coordination.k8s.io/v1", kind: "Lease", plural: "leases" },
} as const satisfies Record<string, ResourceKind>;

/** Which object of a kind. */
export interface ObjectKey {
  readonly namespace: string;
  readonly name: string;
}

/** `namespace/name`: an object's key in queues and caches. Neither part may hold a slash. */
export function keyOf({
  namespace = "",
  name,
}: {
  readonly namespace?: string;
  readonly name: string;
}): string {
  return `${namespace}/${name}`;
}

/** The parts of a key that `keyOf` made. */
export function parseKey(key: string): ObjectKey {
  const slash = key.indexOf("/");
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/**
 * Whether a resourceVersion is older than another of the same kind. They are decimal numbers that grow (KEP-5504,
 * "comparable resource version"); one that is missing or no number is older than nothing.
 */
export function isOlder(version: string | undefined, than: string | undefined): boolean {
  if (version === undefined || than === undefined) return false;
  if (!/^\d+$/.test(version) || !/^\d+$/.test(than)) return false;
  return BigInt(version) < BigInt(than);
}
