/**
 * Sessions that move to this worker.
 * Owns: what has come of them before their connections. Runs in: workers.
 */
import { reportFailure } from "../diagnostics.js";
import type { Handle } from "../handle/node-internals.js";
import type { Mover } from "../moves.js";
import type { Peer } from "../wire/messages.js";
import { bytesOf, type MoveMessage } from "../wire/move-messages.js";
import { decodeParcel, type Parcel } from "../wire/parcel.js";
import type { Arrivals } from "./arrivals.js";
import { LandedMoves } from "./landed-moves.js";
import type { WorkerServer } from "./worker-server.js";

/** Where sessions of a name land. */
export interface Landing {
  readonly mover: Mover;
  readonly routed: WorkerServer;
  /** Whether no request of a session is underway but a poll that waits. */
  isAtRest(sessionId: string): boolean;
}

export interface MovesInHooks {
  landingOf(name: string): Landing | undefined;
  send(message: MoveMessage): void;
}

export class MovesIn {
  readonly #hooks: MovesInHooks;
  readonly #arrivals: Arrivals;
  readonly #parts = new Map<number, string[]>();
  readonly #landed: LandedMoves;

  constructor(arrivals: Arrivals, hooks: MovesInHooks) {
    this.#arrivals = arrivals;
    this.#hooks = hooks;
    this.#landed = new LandedMoves((ends) => hooks.send({ kind: "moveLanded", ends }));
  }

  /** A part of what goes with a connection. */
  onState(move: number, part: string): void {
    const parts = this.#parts.get(move);
    if (parts) parts.push(part);
    else this.#parts.set(move, [part]);
  }

  /** The connection does not come. */
  onCancelled(move: number): void {
    this.#parts.delete(move);
  }

  /** All has come. @param handle missing if the client has gone, or the session has no connection */
  async onConnection(
    { move, name, hasConnection, part, peer }: MoveMessage & { kind: "moveConnection" },
    handle: Handle | undefined,
  ): Promise<void> {
    const parts = part === undefined ? this.#parts.get(move) : [part];
    const parcel = decodeParcel(bytesOf(parts ?? []));
    this.#parts.delete(move);
    const landing = this.#hooks.landingOf(name);
    const canLand = (handle !== undefined || !hasConnection) && parcel && landing;
    if (!canLand) handle?.close();
    const isUp = canLand ? await this.#land(landing, parcel, handle, peer) : false;
    this.#landed.add({ move, isUp });
  }

  async #land(
    { mover, routed }: Landing,
    { state, unread, unsent }: Parcel,
    handle: Handle | undefined,
    peer: Peer | undefined,
  ): Promise<boolean> {
    const socket = handle && this.#arrivals.carry(routed, handle, peer);
    // What was for the client goes before whatever comes from here.
    if (unsent.length > 0) socket?.write(unsent);
    try {
      if (await mover.land(state, unread, socket)) return true;
    } catch (error) {
      reportFailure("move", "a session could not be brought up", { error: error as Error });
    }
    socket?.destroy();
    return false;
  }
}
