import type { Section } from "../conf/index.ts";

/** The templates among `sections`, and by name how many sections that are none are built on each, however indirectly. */
export function templatesOf(sections: readonly Section[]): {
  readonly sections: readonly Section[];
  readonly reach: ReadonlyMap<string, number>;
} {
  // The first of a name is the one that others inherit from; case does not count.
  const byName = new Map<string, Section>();
  for (const section of sections) {
    const key = section.name.toLowerCase();
    if (!byName.has(key)) byName.set(key, section);
  }
  const reach = new Map<string, number>();
  for (const section of sections) {
    if (section.template) continue;
    for (const { name } of ancestorsOf(section, byName)) reach.set(name, (reach.get(name) ?? 0) + 1);
  }
  return { sections: sections.filter(({ template }) => template), reach };
}

function ancestorsOf(section: Section, byName: ReadonlyMap<string, Section>): Set<Section> {
  const found = new Set<Section>();
  const waiting = [section];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    for (const name of next.inherits) {
      const parent = byName.get(name.toLowerCase());
      if (parent === undefined || found.has(parent)) continue;
      found.add(parent);
      waiting.push(parent);
    }
  }
  return found;
}
