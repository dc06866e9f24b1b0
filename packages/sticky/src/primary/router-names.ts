/**
 * The names that have routers: how those take connections back, and where their servers listen.
 * Owns: nothing else. Runs in: primary, one for all routers of the process.
 */
import { resolve } from "node:path";
import type { Handover, Placer } from "../handle/handover.js";
import type { ListenAddress } from "../wire/messages.js";

interface Entry {
  readonly placers: Set<Placer>;
  /** `undefined` while the server does not listen. */
  address: ListenAddress | undefined;
}

export class RouterNames {
  readonly #entries = new Map<string, Entry>();
  readonly #placeOrphan: Placer;

  /** @param placeOrphan is given connections whose routers are closed */
  constructor(placeOrphan: Placer) {
    this.#placeOrphan = placeOrphan;
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** Gives connections of that name that come back to `place`. Returns the function that ends it. */
  add(name: string, place: Placer): () => void {
    const entry = this.#entries.get(name) ?? { placers: new Set(), address: undefined };
    this.#entries.set(name, entry);
    entry.placers.add(place);
    return () => {
      entry.placers.delete(place);
      if (entry.placers.size === 0) this.#entries.delete(name);
    };
  }

  /** Finds a way for a connection that came back from a worker. */
  place(handover: Handover, refusedBy?: number): void {
    if (handover.moving) return handover.moving.onReturned();
    const placers = this.#entries.get(handover.name)?.placers ?? new Set();
    const own = handover.place && placers.has(handover.place) ? handover.place : undefined;
    // What a worker gives away may go the way of any router of that name.
    const place = own ?? [...placers][0] ?? this.#placeOrphan;
    place(handover, refusedBy);
  }

  addressOf(name: string): ListenAddress | undefined {
    return this.#entries.get(name)?.address;
  }

  setAddress(name: string, address: ListenAddress | undefined): void {
    const entry = this.#entries.get(name);
    if (entry) entry.address = address;
  }

  /** The address of a server that listens at a port or path. */
  addressAt(place: string | number): ListenAddress | undefined {
    const isThere = (address: ListenAddress | undefined) =>
      typeof address === "object"
        ? address.port === place
        : address !== undefined && resolve(address) === place;
    return [...this.#entries.values()].map(({ address }) => address).find(isThere);
  }
}
