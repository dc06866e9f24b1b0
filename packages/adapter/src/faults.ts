/**
 * Where failures go: the one place that says which input takes which route. Runs in: primary and workers.
 *
 * - What the application passes and what it calls at the wrong time is thrown to the caller, with a code.
 * - What a call asks of others and does not get rejects its promise, or goes to its callback, with a code.
 * - What the application's own listeners throw while a frame is handled is theirs: {@link throwUncaught}
 *   makes it uncaught, as it is anywhere in Node.js, and the link, the frame's other receivers and the next
 *   frames go on.
 * - All else (a lost link, a frame that nobody can read, a value that cannot be kept) has no caller: it goes to
 *   `onError`, which the application sets with `createAdapter()`; in the primary it is a process warning.
 *
 * No promise of this package is left without somebody who handles its rejection.
 */
import { EventEmitter } from "node:events";

/** Throws the error outside of whatever is going on now. */
export function throwUncaught(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}

/** Runs a listener or callback of the application. What it throws is uncaught; the caller goes on. */
export function runApplication(code: () => void): void {
  try {
    code();
  } catch (error) {
    throwUncaught(error);
  }
}

class EventsApart extends EventEmitter {
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    const listeners = this.rawListeners(event);
    // Without listeners, "error" is thrown to whoever emits it.
    if (listeners.length === 0) return super.emit(event, ...args);
    for (const listener of listeners) runApplication(() => Reflect.apply(listener, this, args));
    return true;
  }
}

/**
 * Events for which the application listens, and other parts of ours beside it. Each listener is called by itself: what one
 * throws is uncaught, as it is anywhere in Node.js, and neither the others nor whoever tells of the event notice.
 * What one rejects is an unhandled rejection, whatever `EventEmitter.captureRejections` says.
 * Cast, since the types of Node.js let no subclass with events of its own override `emit()`.
 */
export const ApplicationEvents = EventsApart as new <
  T extends Record<keyof T, unknown[]>,
>() => EventEmitter<T>;
