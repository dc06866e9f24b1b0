/**
 * How a supervisor tells its workers their place: in their environment, which is there before they say a word. Whatever
 * they start themselves has that environment as well, and is nobody's worker by it. Owns: nothing. Runs in: primary and workers.
 */

/** Documented: applications read it. */
const SLOT = "HOLDFAST_SLOT";
/** The id of the process whose child the worker is. */
const SUPERVISOR = "HOLDFAST_SUPERVISOR";

/** For the environment of the worker at that place. */
export function placeOf(slot: number): Record<string, string> {
  return { [SLOT]: String(slot), [SUPERVISOR]: String(process.pid) };
}

/** The place of this process, in its threads as well; `undefined` if it is no worker of a supervisor. */
export function ownPlace(): number | undefined {
  const { [SLOT]: slot, [SUPERVISOR]: supervisor } = process.env;
  return slot === undefined || supervisor !== String(process.ppid) ? undefined : Number(slot);
}
