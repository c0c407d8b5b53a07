import { devNull } from "node:os";
import { AsteriskIacError } from "../core/errors.ts";
import { directoryInRepository, fileSelector } from "../core/resource/index.ts";
import { openFill } from "../engine/offline-fill.ts";
import type { DeclaredState, OfflineInput } from "../engine/offline.ts";
import { PlaceholderSecrets } from "../engine/placeholder-secrets.ts";
import type { RepositoryFiles } from "../engine/repository-files.ts";
import { TreeSource } from "../engine/tree-source.ts";
import { baseOf, headOf, inCheckout, manifestsIn, openCheckout } from "./checkout.ts";
import { chooseServers } from "./context.ts";
import type { GlobalOptions } from "./context.ts";
import type { DeclaredServer, Manifests } from "./manifests.ts";
import { loadManifests } from "./manifests.ts";
import { SecretDirectory } from "./secrets.ts";

/** What `plan --offline` compares. */
export interface OfflineContext {
  /** What each server is planned from, by its name. */
  readonly inputs: ReadonlyMap<string, OfflineInput>;
  /** The commit that counts as live, by the first digits of its id. */
  readonly base: string;
  /** The commit that is planned, in the same way; undefined: the files as they lie there. */
  readonly head: string | undefined;
  /** Servers that the base declares and the head does not. */
  readonly gone: readonly string[];
}

/**
 * Reads the manifests in a checkout, twice: as they are to be, and as they count as live. Everything comes out of the checkout
 * and the repository's objects. Secrets come from `--secrets` alone: what lies beside the manifests may be a stranger's.
 */
export async function offlineContext(
  options: GlobalOptions,
  names: readonly string[],
  revisions: { readonly base?: string | undefined; readonly head?: string | undefined },
): Promise<OfflineContext> {
  const files = options.filename ?? ["."];
  const checkout = await openCheckout(files[0] ?? ".");
  const { root } = checkout;
  const head = await headOf(checkout, revisions.head);
  const after = await loadManifests(files, manifestsIn(root, head, { mayLack: false }));
  const chosen = chooseServers(after.servers, names, files);
  const branch = chosen
    .map(({ resource }) => resource.spec.source?.git?.branch)
    .find((one) => one !== undefined);
  const base = await baseOf(checkout, { base: revisions.base, head: revisions.head, branch });
  const before = await loadManifests(files, manifestsIn(root, base, { mayLack: true })).catch(
    (cause: unknown) => {
      if (!(cause instanceof AsteriskIacError)) throw cause;
      throw new AsteriskIacError(cause.code, `in the base, ${base.name}: ${cause.message}`, { cause });
    },
  );
  const declared = new Set(after.servers.map(({ name }) => name));
  const inputs = new Map<string, OfflineInput>();
  const { secrets } = options;
  for (const server of chosen) {
    const same = before.servers.find(({ name }) => name === server.name);
    inputs.set(server.name, {
      head: await declare(server, { manifests: after, files: head, root, secrets }),
      base: same && (await declare(same, { manifests: before, files: base, root, secrets })),
    });
  }
  return {
    inputs,
    base: base.name,
    head: revisions.head === undefined ? undefined : head.name,
    gone: before.servers.map(({ name }) => name).filter((name) => !declared.has(name)),
  };
}

/** One state of the checkout. */
interface State {
  readonly manifests: Manifests;
  readonly files: RepositoryFiles;
  readonly root: string;
  /** The folder of `--secrets`. */
  readonly secrets: string | undefined;
}

/** A server as one state of the checkout has it, its source and secrets too. */
async function declare(
  { name, resource, sourceDirectory }: DeclaredServer,
  { manifests, files, root, secrets: folder }: State,
): Promise<DeclaredState> {
  // Without a folder only `kind: Secret` documents are read: nothing lies below a device.
  const store = new SecretDirectory(folder ?? devNull, manifests.secrets);
  const secrets = new PlaceholderSecrets(store);
  const declaration = { name, spec: resource.spec, ...manifests.resourcesOf(name) };
  const { git } = resource.spec.source ?? {};
  if (git === undefined) {
    const source = new TreeSource(files, inCheckout(root, sourceDirectory));
    return { secrets, declaration: { ...declaration, source }, sealed: undefined, inTheClear: new Set() };
  }
  const directory = directoryInRepository(name, git);
  const { fill, ...values } = await openFill({ server: name, git, files, directory }, store, secrets);
  const source = new TreeSource(files, directory, { fill, isSelected: fileSelector(resource.spec.files) });
  return { secrets, declaration: { ...declaration, source }, ...values };
}
