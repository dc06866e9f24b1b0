/**
 * The links of this worker to the owners that it relays to.
 * Owns: one link for each of them, for as long as it is used. Runs in: workers.
 */
import type { StreamToken } from "../wire/link-frame.js";
import { type Door, OwnerLink } from "./owner-link.js";

/** The links of this worker, by the owner's id. */
export class OwnerLinks {
  readonly #links = new Map<number, OwnerLink>();
  readonly #host: OwnerLinksHost;

  constructor(host: OwnerLinksHost) {
    this.#host = host;
  }

  to(owner: number): OwnerLink {
    const existing = this.#links.get(owner);
    if (existing) return existing;
    const link: OwnerLink = new OwnerLink({
      door: () => this.#host.door(owner),
      mayLive: () => this.#host.mayLive(owner),
      onMissed: (token, worker) => this.#giveUp(token, worker),
      onTrouble: (error) => this.#host.onTrouble(error),
      // Anybody can write an owner's id: only those that exist are kept.
      onOver: () => {
        if (this.#links.get(owner) === link) this.#links.delete(owner);
      },
    });
    this.#links.set(owner, link);
    return link;
  }

  /** Nobody is at this end of a stream any more. */
  #giveUp(token: StreamToken, worker: number): void {
    this.to(worker).board({
      waitingBytes: 0,
      onLink: (streams) => streams.giveUp(token),
      onUnreachable: () => {},
    });
  }

  /**
   * Lets what is on its way be finished. Links that are opened later are new ones.
   * @param cutAfterMs see {@link OwnerLink.close}
   */
  close(cutAfterMs?: number): void {
    const links = [...this.#links.values()];
    this.#links.clear();
    for (const link of links) link.close(cutAfterMs);
  }
}

export interface OwnerLinksHost {
  door(owner: number): Door | undefined;
  /** See {@link OwnerLinkHost.mayLive}. */
  mayLive(owner: number): Promise<boolean>;
  onTrouble(error: Error): void;
}
