/** Deadlines for answers of other processes. Runs in: primary and workers. */

/**
 * Calls back when the time is over, unless that is ended before. If it is this process that stood still, what has arrived
 * meanwhile is read first. Keeps no process alive.
 * @param ms milliseconds
 * @returns ends it
 */
export function afterSilence(ms: number, callback: () => void): () => void {
  let reading: NodeJS.Immediate | undefined;
  const timer = setTimeout(() => {
    reading = setImmediate(callback);
  }, ms).unref();
  return () => {
    clearTimeout(timer);
    clearImmediate(reading);
  };
}
