/** What code throws out of its own course, where nobody can catch it. Runs in: tests. */

import { once } from "node:events";

/**
 * Runs `code`, during which something is thrown that nobody catches: without its listeners taken away, the test's own
 * runner would count that as its failure.
 * @returns what was thrown first, and Node.js's name for how: `uncaughtException` or `unhandledRejection`
 */
export async function firstUncaughtOf(code: () => Promise<void>): Promise<[error: unknown, origin: string]> {
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  const uncaught = once(process, "uncaughtException");
  try {
    await code();
    return (await uncaught) as [unknown, string];
  } finally {
    for (const listener of listeners) process.on("uncaughtException", listener);
  }
}

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
