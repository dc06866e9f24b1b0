/**
 * A clock that never goes back, for deadlines. `Date.now()` follows the system's clock, which somebody may set.
 * Owns: nothing. Runs in: primary and workers, where it tells the same time.
 * @see https://nodejs.org/api/process.html#processhrtimetime
 */

/** Milliseconds since some moment in the past, the same for all processes of the machine. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1e6;
}
