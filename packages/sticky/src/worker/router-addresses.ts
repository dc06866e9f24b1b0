/**
 * Which names have a router, and where its server listens.
 * Owns: what the routers have told, who waits for it. Runs in: workers.
 */
import { EventEmitter } from "node:events";
import type { ListenAddress } from "../wire/messages.js";
import { untilPrimaryHasRead } from "./primary-fence.js";

export class RouterAddresses {
  /** `undefined` for a router whose server does not listen yet. */
  readonly #byName = new Map<string, ListenAddress | undefined>();
  /** Emits "router " with a name behind it. */
  readonly #events = new EventEmitter().setMaxListeners(0);

  isKnown(name: string): boolean {
    return this.#byName.has(name);
  }

  get(name: string): ListenAddress | undefined {
    return this.#byName.get(name);
  }

  set(name: string, address: ListenAddress | undefined): void {
    this.#byName.set(name, address);
    this.#events.emit(`router ${name}`);
  }

  /** No router has that name any more. */
  delete(name: string): void {
    this.#byName.delete(name);
  }

  /** No router tells of itself any more. */
  clear(): void {
    this.#byName.clear();
  }

  /**
   * Whether a name has a router now. One that is set up later tells of itself.
   * @param ask asks the primary, if that is still necessary; a router answers at once
   */
  async has(name: string, ask: () => void): Promise<boolean> {
    if (this.#byName.has(name)) return true;
    const event = `router ${name}`;
    await new Promise<void>((resolve) => {
      const finish = () => {
        this.#events.off(event, finish);
        resolve();
      };
      this.#events.once(event, finish);
      ask();
      void untilPrimaryHasRead().then(finish);
    });
    return this.#byName.has(name);
  }
}
