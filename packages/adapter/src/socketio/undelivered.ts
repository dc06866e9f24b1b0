/**
 * What is meant for sockets of this worker and has not been written to them: packets in flight, and what is held for
 * sockets that are joining. Everything else for such a socket keeps its place behind that.
 * Owns: both. Runs in: workers. Knows nothing of Socket.IO's sockets; callers pass in what to do.
 */
import type { SocketId } from "socket.io-adapter";
import { InFlight, type Unplaced } from "./in-flight.js";
import { JoiningSockets } from "./joining-sockets.js";
import type { Orders } from "./orders.js";

export class Undelivered {
  readonly inFlight: InFlight;
  readonly joining: JoiningSockets;

  /**
   * @param isFor whether the packet is for the socket, by the rooms that it is in now
   * @param workOff gets the work on what was held to do, so that it can be put together
   */
  constructor(
    isFor: (record: Unplaced, sid: SocketId) => boolean,
    orders: Orders,
    workOff?: (work: () => void) => void,
  ) {
    this.inFlight = new InFlight(isFor);
    this.joining = new JoiningSockets(orders, workOff);
  }

  concerns(sid: SocketId): boolean {
    return this.inFlight.concerns(sid) || this.joining.concerns(sid);
  }

  /** Runs `run` for these sockets: at once, or for each when it has got what was meant for it before. */
  after(sids: ReadonlySet<SocketId>, run: (sids: ReadonlySet<SocketId>) => void): void {
    this.inFlight.after(sids, (placed) => this.joining.after(placed, run));
  }

  /** The socket is about to be closed by the server: what is for it goes to it now, in order. */
  flush(sid: SocketId, write: (record: Unplaced) => void): void {
    this.joining.flush(sid);
    this.inFlight.flush(sid, write);
  }

  clear(): void {
    this.inFlight.clear();
    this.joining.clear();
  }
}
