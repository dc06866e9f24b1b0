/** Waiting with a deadline. Runs in: tests and benches. */

/** Less than a test may take, so that a test that waits in vain ends with a sentence of ours. Milliseconds. */
const DEADLINE_MS = 30_000;

/**
 * Waits for `promise`; fails with a sentence that names what was missing.
 * @param what what is waited for; a function is asked when the time is over
 * @param ms milliseconds
 */
export async function within<T>(
  promise: Promise<T>,
  what: string | (() => string),
  ms = DEADLINE_MS,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const missing = typeof what === "string" ? what : what();
      reject(new Error(`no ${missing} within ${ms} ms`));
    }, ms);
  });
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
