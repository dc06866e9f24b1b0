/**
 * The sign by which workers know that their parent has a hub, before they ask it: one that is still busy with its own
 * start is waited for, while one that has none, such as a process manager, is not.
 * Owns: one environment variable, which children inherit. Runs in: primary and workers.
 */

/** Holds the process id of the primary: its children's children have another parent. */
const VARIABLE = "HOLDFAST_HUB";

export function putUpSign(): void {
  process.env[VARIABLE] = String(process.pid);
}

export function takeDownSign(): void {
  delete process.env[VARIABLE];
}

/** Whether the parent had a hub when it started this process. */
export function parentHasSign(): boolean {
  return process.env[VARIABLE] === String(process.ppid);
}
