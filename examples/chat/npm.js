/** What has to be known of npm, if the chat was started by it. Runs in: primary. */

const LOOK_MS = 500;

/**
 * Calls `callback` when npm, or the shell that it uses, is gone. npm passes SIGINT and SIGTERM on, but SIGHUP ends it
 * without a word to what it has started.
 */
export function onNpmGone(callback) {
  if (process.env.npm_lifecycle_event === undefined) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    // A process whose parent is gone gets another one.
    if (process.ppid === parent) return;
    clearInterval(timer);
    callback();
  }, LOOK_MS);
  timer.unref();
}
