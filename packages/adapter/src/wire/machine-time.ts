/**
 * Microseconds on the clock that all processes of a machine share and nobody sets: when a worker says that something
 * happened before the hub got a message, the two mean the same. Runs in: primary and workers.
 * @see https://nodejs.org/api/process.html#processhrtimetime
 */
export function machineTime(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e6 + nanoseconds / 1e3;
}
