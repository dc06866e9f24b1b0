/**
 * Sessions whose requests wait: they are about to move, and it is not known yet where they will be.
 * Owns: the list. Runs in: workers, one for all servers of the process.
 */

export class HeldRequests {
  readonly #holds = new Map<string, Promise<void>>();

  /** Requests of the session wait from now on. Returns the function that lets them go. */
  hold(sessionId: string): () => void {
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = () => {
        this.#holds.delete(sessionId);
        resolve();
      };
    });
    this.#holds.set(sessionId, released);
    return release;
  }

  /** Settles when requests of the session need not wait any more; `undefined` if they need not. */
  until(sessionId: string): Promise<void> | undefined {
    return this.#holds.get(sessionId);
  }
}
