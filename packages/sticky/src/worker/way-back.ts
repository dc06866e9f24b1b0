/**
 * The way of connections from this worker back to the router.
 * Owns: the lane to the primary, a listener while there is one, and a timer while connections are on their way.
 * Runs in: workers.
 *
 * Node.js does not emit "disconnect" for a channel that ends while a handle waits for its receipt. A primary that is killed
 * then would leave this worker behind with its clients, since it is by that event that node:cluster ends workers.
 */
import type { Handover } from "../handle/handover.js";
import { Lane } from "../handle/lane.js";
import { encodeToPrimary } from "../wire/messages.js";
import { encodeMove } from "../wire/move-messages.js";

const LOOK_MS = 100;

export class WayBack {
  readonly #keep: (handover: Handover) => void;
  readonly #hasRouter: () => boolean;
  readonly #primary = process.ppid;
  #lane: Lane | undefined;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param keep takes a connection for which there is no way back
   * @param hasRouter whether the primary has a router that takes connections back
   */
  constructor(keep: (handover: Handover) => void, hasRouter: () => boolean) {
    this.#keep = keep;
    this.#hasRouter = hasRouter;
  }

  /** Connections that the primary has not taken yet. */
  get length(): number {
    return this.#lane?.length ?? 0;
  }

  /** Gives a connection to the router, for its owner or any worker. */
  push(handover: Handover): void {
    if (!this.#hasRouter()) return this.#return(handover);
    this.#open().push(handover);
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS).unref();
  }

  /** The last router is closed: nobody takes anything back. What is on its way gets there. */
  onOver(): void {
    for (const waiting of this.#lane?.recall() ?? []) this.#return(waiting);
  }

  #look(): void {
    const isOver = this.length === 0;
    const isOrphaned = !process.connected && isGone(this.#primary);
    if (!isOver && !isOrphaned) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (!isOver) process.emit("disconnect");
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
    process.prependOnceListener("disconnect", () => {
      for (const left of lane.close()) this.#return(left);
    });
    this.#lane = lane;
    return lane;
  }
}

/** Whether the parent has ended. Somebody else is the parent then, but not on Windows. */
function isGone(parent: number): boolean {
  if (process.ppid !== parent) return true;
  try {
    return !process.kill(parent, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

function toMessage({ name, head, peer, owner, moving }: Handover): object {
  if (!moving?.order) return encodeToPrimary({ kind: "move", name, owner, head, peer });
  const { move, order, part } = moving;
  return encodeMove({ kind: "moveOffered", move, ...order, name, carrier: "connection", part, peer });
}
