/** Waiting for the last of something that nobody tells of. Runs in: primary and workers. */

const LOOK_MS = 5;

/**
 * Settles when `count()` is 0, or has not become less for so long.
 * @param between called before each look but the first
 */
export async function untilNone(count: () => number, stalledMs: number, between = () => {}): Promise<void> {
  let least = Number.POSITIVE_INFINITY;
  let deadline = 0;
  for (;;) {
    const left = count();
    if (left < least) deadline = performance.now() + stalledMs;
    least = Math.min(least, left);
    if (left === 0 || performance.now() >= deadline) return;
    between();
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
