import type { Condition } from "../core/conditions.ts";
import type { HandledRequests } from "./runtime/annotations.ts";
import type { KubernetesObject, ObjectMeta } from "./runtime/objects.ts";

/** Ours are all in a namespace. */
export type Metadata = ObjectMeta & { readonly namespace: string };

/** A condition with what Kubernetes adds to it. */
export type StatusCondition = Omit<Condition, "type"> & {
  readonly type: string;
  readonly observedGeneration?: number;
  /** ISO 8601, of the last change of `status`. */
  readonly lastTransitionTime: string;
};

interface CommonStatus {
  readonly observedGeneration?: number;
  readonly conditions?: readonly StatusCondition[];
}

export interface ServerStatus extends CommonStatus {
  readonly asteriskVersion?: string;
  readonly updateDirection?: string;
  readonly activeCalls?: number;
  readonly initialImport?: { readonly done: boolean; readonly time?: string; readonly files?: number };
  readonly lastApplied?: { readonly generation: number; readonly time: string; readonly planHash: string };
  /** By verb: the value of the annotation that was acted on. */
  readonly handledRequests?: HandledRequests;
}

export interface AccountStatus extends CommonStatus {
  readonly file?: string;
  readonly verified?: readonly { readonly attribute: string; readonly live: string }[];
}

export interface FileStatus extends CommonStatus {
  readonly path?: string;
  readonly hash?: string;
}

/** A custom resource as the API server has it; the spec is judged where it is read. */
export interface CustomObject<Status> extends KubernetesObject {
  readonly metadata: Metadata;
  readonly spec?: unknown;
  readonly status?: Status;
}

export type ServerObject = CustomObject<ServerStatus>;
export type AccountObject = CustomObject<AccountStatus>;
export type FileObject = CustomObject<FileStatus>;
