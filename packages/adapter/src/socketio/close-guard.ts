/**
 * A connection that this server closes takes along what was emitted before, as it does without recovery: the close waits
 * until the hub has placed it.
 * Owns: what has to be asked before a connection is closed, and the closes that wait. Runs in: workers.
 */
import { type Connection, interceptClose } from "./private-fields.js";

/** Something that may be in flight for a connection. */
export interface Wait {
  /** @returns false if there is nothing; otherwise `done` is called when it has been written */
  until(done: () => void): boolean;
}

/**
 * open: nobody has asked to close the connection, or nothing was in flight when somebody did. waiting: it is closed when
 * everything has been written, or when that takes too long.
 *
 * open → waiting → open (closed, as far as the guard is concerned)
 */
interface Guard {
  state: "open" | "waiting";
  /** Mostly one. */
  readonly waits: Wait[];
  /** How long a close may wait. */
  readonly maxMs: number;
  /** Closes as it was asked for last. */
  close: () => void;
}

const guards = new WeakMap<Connection, Guard>();
const nothing = () => {};

/**
 * Has `wait` asked before the connection is closed.
 * @param maxMs how long a close may wait
 */
export function guardClose(connection: Connection, wait: Wait, maxMs: number): void {
  const guard = guards.get(connection);
  if (guard) return void guard.waits.push(wait);
  // An array that grows from nothing has room for 16 more.
  guards.set(connection, { state: "open", waits: [wait], maxMs, close: nothing });
  interceptClose(connection, onClose);
}

/** Ends {@link guardClose}. */
export function unguardClose(connection: Connection, wait: Wait): void {
  const waits = guards.get(connection)?.waits;
  const at = waits?.indexOf(wait) ?? -1;
  if (at >= 0) waits?.splice(at, 1);
}

function onClose(connection: Connection, close: () => void): void {
  const guard = guards.get(connection);
  if (!guard) return close();
  guard.close = close;
  if (guard.state === "open") closeWhenWritten(guard);
}

function closeWhenWritten(guard: Guard): void {
  let missing = 0;
  const end = () => {
    if (guard.state !== "waiting") return;
    clearTimeout(timer);
    guard.state = "open";
    guard.close();
  };
  const timer = setTimeout(end, guard.maxMs);
  guard.state = "waiting";
  for (const wait of [...guard.waits]) {
    if (wait.until(() => --missing === 0 && end())) missing++;
  }
  if (missing === 0) end();
}
