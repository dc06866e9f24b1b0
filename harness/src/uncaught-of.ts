/** What code throws out of its own course, where nobody can catch it. Runs in: tests. */

/** Runs it. @returns what it has put off with `process.nextTick()`, and was not run */
export function uncaughtOf(code: () => void): (() => void)[] {
  const later: (() => void)[] = [];
  const { nextTick } = process;
  process.nextTick = (run: () => void) => void later.push(run);
  try {
    code();
  } finally {
    // Without it, a test that fails here never ends.
    process.nextTick = nextTick;
  }
  return later;
}
