/**
 * Which names have a router, and where its server listens.
 * Owns: what the routers have told, who waits for it. Runs in: workers.
 */
import { EventEmitter, once } from "node:events";
import type { ListenAddress } from "../wire/messages.js";

/** How long a router may take to answer this worker; then there is none. */
const ROUTER_MS = 1_000;

export class RouterAddresses {
  /** `undefined` for a router whose server does not listen yet. */
  readonly #byName = new Map<string, ListenAddress | undefined>();
  /** Emits "router " with a name behind it. */
  readonly #events = new EventEmitter().setMaxListeners(0);

  get(name: string): ListenAddress | undefined {
    return this.#byName.get(name);
  }

  set(name: string, address: ListenAddress | undefined): void {
    this.#byName.set(name, address);
    this.#events.emit(`router ${name}`);
  }

  /** Whether a name has a router, as far as can be known after a moment. */
  async hasRouter(name: string): Promise<boolean> {
    if (!this.#byName.has(name) && process.connected) {
      const deadline = AbortSignal.timeout(ROUTER_MS);
      await once(this.#events, `router ${name}`, { signal: deadline }).catch(() => {});
    }
    return this.#byName.has(name);
  }
}
