/**
 * The classes of AMI that the engine's own account needs, and no more. Why each, and what the others would allow, is in
 * docs/ami-classes.md.
 */
export const ownClasses: { readonly read: readonly string[]; readonly write: readonly string[] } = {
  read: ["system"],
  write: ["system"],
};

/**
 * What the account that reads calls may do: see the events of calls, CDRs and queues, and ask for the channels that are up.
 * CEL belongs to class call, and says nothing that the other events do not.
 */
export const callsRights = {
  read: ["call", "cdr", "agent"],
  write: ["reporting"],
  eventFilters: ["!Event: CEL"],
} as const;
