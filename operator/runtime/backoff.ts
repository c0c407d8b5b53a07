/** Growing waits: the first is `firstMs`, each next twice as long, none above `mostMs`. */
export interface BackoffOptions {
  readonly firstMs: number;
  readonly mostMs: number;
  /** From 0 up to 1; default Math.random. */
  readonly random?: () => number;
}

/** The wait after a number of earlier failures, in milliseconds: between half of it and all of it, at random. */
export function backoffMs(
  { firstMs, mostMs, random = Math.random }: BackoffOptions,
  failures: number,
): number {
  const most = Math.min(firstMs * 2 ** failures, mostMs);
  return most * (0.5 + random() / 2);
}
