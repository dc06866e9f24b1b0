/** What the application's own listeners throw. Runs in: all processes. */
import { EventEmitter } from "node:events";

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
