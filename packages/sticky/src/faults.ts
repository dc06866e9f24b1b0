/** What the application's own listeners throw. Runs in: all processes. */

/**
 * Runs what calls listeners of the application. What one throws is uncaught, as it is anywhere in Node.js, and the caller goes
 * on: others depend on it.
 */
export function runApplication(code: () => void): void {
  try {
    code();
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}
