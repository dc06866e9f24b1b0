/**
 * A connection that this server closes takes along what was emitted before, as it does without recovery: the close waits
 * until the hub has placed it.
 * Owns: what has to be asked before a connection is closed, and the closes that wait. Runs in: workers.
 */
import { type Connection, interceptClose } from "./private-fields.js";

/**
 * Something that may be in flight for a connection.
 * @returns false if there is nothing; otherwise `done` is called when it has been written
 */
export type Wait = (done: () => void) => boolean;

/**
 * open: nobody has asked to close the connection, or nothing was in flight when somebody did. waiting: it is closed when
 * everything has been written, or when that takes too long.
 *
 * open → waiting → open (closed, as far as the guard is concerned)
 */
interface Guard {
  state: "open" | "waiting";
  readonly waits: Set<Wait>;
  /** Closes as it was asked for last. */
  close: () => void;
}

const guards = new WeakMap<Connection, Guard>();

/**
 * Has `wait` asked before the connection is closed.
 * @param maxMs how long a close may wait
 * @returns what ends that
 */
export function guardClose(connection: Connection, wait: Wait, maxMs: number): () => void {
  const guard = guards.get(connection) ?? newGuard(connection, maxMs);
  guard.waits.add(wait);
  return () => void guard.waits.delete(wait);
}

function newGuard(connection: Connection, maxMs: number): Guard {
  const guard: Guard = { state: "open", waits: new Set(), close: () => {} };
  guards.set(connection, guard);
  interceptClose(connection, (_, close) => {
    guard.close = close;
    if (guard.state === "open") closeWhenWritten(guard, maxMs);
  });
  return guard;
}

function closeWhenWritten(guard: Guard, maxMs: number): void {
  let missing = 0;
  const end = () => {
    if (guard.state !== "waiting") return;
    clearTimeout(timer);
    guard.state = "open";
    guard.close();
  };
  const timer = setTimeout(end, maxMs);
  guard.state = "waiting";
  for (const wait of guard.waits) {
    if (wait(() => --missing === 0 && end())) missing++;
  }
  if (missing === 0) end();
}
