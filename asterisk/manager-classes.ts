/**
 * The classes of AMI that the engine's own account needs, and no more. Why each, and what the others would allow, is in
 * docs/ami-classes.md.
 */
export const ownClasses: { readonly read: readonly string[]; readonly write: readonly string[] } = {
  read: ["system"],
  write: ["system"],
};
