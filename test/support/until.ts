/** Resolves when the condition holds, looked at every few milliseconds; rejects after a minute by default. */
export async function until(condition: () => boolean | Promise<boolean>, deadlineMs = 60_000): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`it never came to be: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
