import { effectiveView, globAsterisk } from "../conf/index.ts";
import type { ConfFiles, LoadOptions } from "../conf/index.ts";

/** What the choice of an account's file is made from. Paths are below the configuration directory. */
export interface AccountFileFacts {
  readonly username: string;
  /** `file` of the account's spec. */
  readonly declared?: string | undefined;
  /** Where the record says that the account was written. */
  readonly recorded?: string | undefined;
  /** The server's files as they are, and how Asterisk reads them. */
  readonly files: ConfFiles;
  readonly options?: LoadOptions;
  /** Whether we could write that file, or create it where there is none. */
  readonly canWrite: (path: string) => boolean;
  /** Who writes that file beside us, such as "FreePBX"; undefined where nobody does. */
  readonly generatedBy: (path: string) => string | undefined;
}

/** Where an account goes, or why nowhere. */
export type AccountFileChoice =
  { readonly file: string } | { readonly problem: string; readonly hint: string };

/**
 * The file that holds an account, or is to: the recorded one, else the declared one, else the first that will do of
 * manager_custom.conf, manager.d/<username>.conf and manager.conf.
 */
export function chooseAccountFile(facts: AccountFileFacts): AccountFileChoice {
  const { recorded, declared } = facts;
  if (recorded !== undefined && declared !== undefined && recorded !== declared) {
    return {
      problem: `the account is in ${recorded}, and \`file\` says ${declared}`,
      hint: `An account does not move: write \`file: ${recorded}\`, or delete the account and declare it again.`,
    };
  }
  const settled = recorded ?? declared;
  if (settled !== undefined) return check(settled, facts);
  for (const file of ["manager_custom.conf", `manager.d/${facts.username}.conf`]) {
    const choice = check(file, facts);
    if ("file" in choice) return choice;
  }
  return check(managerConf, facts);
}

const managerConf = "manager.conf";

function check(file: string, facts: AccountFileFacts): AccountFileChoice {
  if (!isRead(file, facts)) {
    return {
      problem: `manager.conf does not include ${file}, so Asterisk would not see the account`,
      hint: `Add \`#include ${file}\` at the end of manager.conf, or name a file that it includes.`,
    };
  }
  const generator = facts.generatedBy(file);
  if (generator !== undefined) {
    return {
      problem: `${file} belongs to ${generator}, which may write it anew at any time`,
      hint: "Let manager.conf include a file of your own and name it with `file`; manager_custom.conf is the usual one.",
    };
  }
  if (!facts.canWrite(file)) {
    return {
      problem: `${file} cannot be written by the user that we log in as, or become`,
      hint: "Give that user write permission for the file's directory, or name another file with `file`.",
    };
  }
  return { file };
}

/** Whether Asterisk would read that file for manager.conf, once it is there. */
function isRead(file: string, { files, options }: AccountFileFacts): boolean {
  if (file === managerConf) return true;
  const created: ConfFiles = {
    read: (path) => files.read(path) ?? (path === file ? new Uint8Array() : undefined),
    glob: (pattern) => [...new Set([...files.glob(pattern), ...globAsterisk(pattern, [file])])],
  };
  return effectiveView(managerConf, created, options).included.includes(file);
}
