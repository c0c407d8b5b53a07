/** Resolves when the condition holds, looked at in every turn of the event loop; rejects after ten seconds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`it never came to be: ${condition.toString()}`);
    await new Promise(setImmediate);
  }
}
