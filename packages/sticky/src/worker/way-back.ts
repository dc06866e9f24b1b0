/**
 * The way of connections from this worker back to the router.
 * Owns: the lane to the primary, and a listener while there is one. Runs in: workers.
 */
import type { Handover } from "../handle/handover.js";
import { Lane } from "../handle/lane.js";
import { encodeToPrimary } from "../wire/messages.js";
import { encodeMove } from "../wire/move-messages.js";

export class WayBack {
  readonly #keep: (handover: Handover) => void;
  #lane: Lane | undefined;

  /** @param keep takes a connection for which there is no way back */
  constructor(keep: (handover: Handover) => void) {
    this.#keep = keep;
  }

  /** Connections that the primary has not taken yet. */
  get length(): number {
    return this.#lane?.length ?? 0;
  }

  /** Gives a connection to the router, for its owner or any worker. */
  push(handover: Handover): void {
    if (process.connected) this.#open().push(handover);
    else this.#return(handover);
  }

  #return(handover: Handover): void {
    if (handover.moving) handover.moving.onReturned();
    else this.#keep(handover);
  }

  #open(): Lane {
    if (this.#lane) return this.#lane;
    const lane = new Lane(process, {
      toMessage,
      onRefused: (handover) => this.#return(handover),
    });
    process.once("disconnect", () => {
      for (const left of lane.close()) this.#return(left);
    });
    this.#lane = lane;
    return lane;
  }
}

function toMessage({ name, head, peer, owner, moving }: Handover): object {
  if (!moving) return encodeToPrimary({ kind: "move", name, owner, head, peer });
  const { move, successor, part } = moving;
  return encodeMove({ kind: "moveOffered", move, successor, name, carrier: "connection", part, peer });
}
