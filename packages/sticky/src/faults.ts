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

/**
 * Events for which the application listens, in the middle of our own steps. What a listener throws is uncaught, as it is
 * anywhere in Node.js, and whoever tells goes on.
 */
export class ApplicationEvents<T extends Record<keyof T, unknown[]>> extends EventEmitter<T> {
  override emit: EventEmitter<T>["emit"] = (...event) => {
    runApplication(() => super.emit(...event));
    return this.listenerCount(event[0]) > 0;
  };
}
