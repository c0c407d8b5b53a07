import type {
  AMIAccountStatus,
  AsteriskServerStatus,
  ConfFileStatus,
  StatusCondition,
} from "../core/resource/index.ts";
import type { KubernetesObject, ObjectMeta } from "./runtime/objects.ts";

/** Ours are all in a namespace. */
export type Metadata = ObjectMeta & { readonly namespace: string };

/** What the operator writes of each kind; the schema of the CRDs. */
export type ServerStatus = AsteriskServerStatus;
export type AccountStatus = AMIAccountStatus;
export type FileStatus = ConfFileStatus;
export type { StatusCondition };

/** A custom resource as the API server has it; the spec is judged where it is read. */
export interface CustomObject<Status> extends KubernetesObject {
  readonly metadata: Metadata;
  readonly spec?: unknown;
  readonly status?: Status;
}

export type ServerObject = CustomObject<ServerStatus>;
export type AccountObject = CustomObject<AccountStatus>;
export type FileObject = CustomObject<FileStatus>;
