/** Resolves when the condition holds, looked at in every turn of the event loop; rejects after 20 seconds by default. */
export async function until(condition: () => boolean | Promise<boolean>, deadlineMs = 20_000): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`it never came to be: ${condition.toString()}`);
    await new Promise(setImmediate);
  }
}
