/** Finds, in two lists, what became of what. */

/** What is told of two lists. Everything keeps the order of its list. */
export interface Pairs<T> {
  readonly removed: readonly T[];
  readonly added: readonly T[];
  /** Old and new of the same label, equal or not, in the new list's order. */
  readonly kept: readonly { readonly old: T; readonly new: T }[];
  /** What was kept stands in another order. */
  readonly reordered: boolean;
}

/**
 * Pairs the entries of two lists: first those that are equal, then of those between the same equal ones the kindred,
 * then the rest. Takes time in proportion to the lists' lengths.
 * @param labelOf entries of different labels are never paired, nor looked at when one is placed between others
 * @param contentOf entries of one label and one content are equal
 * @param kinOf what makes it likely that one entry became the other
 */
export function pair<T>(
  oldList: readonly T[],
  newList: readonly T[],
  labelOf: (entry: T) => string,
  contentOf: (entry: T) => string,
  kinOf: (entry: T) => string = labelOf,
): Pairs<T> {
  const partners = new Map<number, number>();
  const taken = new Set<number>();
  const match = (oldKeys: readonly (string | undefined)[], newKeys: readonly (string | undefined)[]) => {
    const waiting = indexesByKey(oldKeys);
    newKeys.forEach((key, index) => {
      const partner = key === undefined ? undefined : waiting.get(key)?.pop();
      if (partner === undefined) return;
      partners.set(index, partner);
      taken.add(partner);
    });
  };
  const exactly = (entry: T) => JSON.stringify([labelOf(entry), contentOf(entry)]);
  match(oldList.map(exactly), newList.map(exactly));
  const gaps = (list: readonly T[], isPaired: (index: number) => boolean, traitOf: (entry: T) => string) => {
    const passed = new Map<string, number>();
    return list.map((entry, index) => {
      const label = labelOf(entry);
      const gap = passed.get(label) ?? 0;
      if (!isPaired(index)) return JSON.stringify([label, gap, traitOf(entry)]);
      passed.set(label, gap + 1);
      return undefined;
    });
  };
  for (const traitOf of [kinOf, labelOf]) {
    match(
      gaps(oldList, (index) => taken.has(index), traitOf),
      gaps(newList, (index) => partners.has(index), traitOf),
    );
  }

  const kept: { old: T; new: T }[] = [];
  let reordered = false;
  let last = -1;
  newList.forEach((entry, index) => {
    const partner = partners.get(index);
    const old = partner === undefined ? undefined : oldList[partner];
    if (partner === undefined || old === undefined) return;
    kept.push({ old, new: entry });
    reordered ||= partner < last;
    last = partner;
  });
  return {
    removed: oldList.filter((_, index) => !taken.has(index)),
    added: newList.filter((_, index) => !partners.has(index)),
    kept,
    reordered,
  };
}

/** The indexes of each key, the last one first, to be taken from the end. */
function indexesByKey(keys: readonly (string | undefined)[]): Map<string, number[]> {
  const indexes = new Map<string, number[]>();
  for (let index = keys.length - 1; index >= 0; index--) {
    const key = keys[index];
    if (key === undefined) continue;
    const list = indexes.get(key);
    if (list === undefined) indexes.set(key, [index]);
    else list.push(index);
  }
  return indexes;
}
