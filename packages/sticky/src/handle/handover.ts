/** A connection on its way to another process. Runs in: primary and workers. */

import { encodeToWorker, type Peer, type Ticket } from "../wire/messages.js";
import { encodeMove } from "../wire/move-messages.js";
import { NO_OWNER } from "../wire/owner-mark.js";
import type { Handle } from "./node-internals.js";

export interface Handover {
  /** Nobody reads from it. */
  readonly handle: Handle;
  /** Name of the server that it came to. */
  readonly name: string;
  /** Bytes that were read of it, as latin1. */
  readonly head: string;
  /** Address of the client, if it is not the handle's. */
  readonly peer: Peer | undefined;
  /** The worker that owns its session; `NO_OWNER` if none does. */
  readonly owner: number;
  /** The other process has it. */
  onTaken?(): void;
  /** Who takes it back from the lane, if it matters who does. */
  readonly place?: Placer;
  /** With a session on its way to another worker: the sender keeps its copy of the handle until it says otherwise. */
  readonly moving?: Moving;
}

/** Of which task a move is a part, and which worker is to get the session. */
export interface MoveOrder {
  readonly task: number;
  readonly successor: number;
}

/** A session that moves with the connection. */
export interface Moving {
  /** What the sender and the receiver of the connection call the move. */
  readonly move: number;
  /** To the primary. */
  readonly order?: MoveOrder;
  /** What goes with it, encoded as one part; undefined if that comes on its own. */
  readonly part: string | undefined;
  /** It came back from the lane: the other process did not take it. */
  onReturned(): void;
}

/**
 * Finds a process for a connection that came back: the other one died, took nothing, could not take it, or gave it away.
 * @param refusedBy the worker that could not take it
 */
export type Placer = (handover: Handover, refusedBy?: number) => void;

export function toMessage(
  { name, head, peer, owner, moving }: Handover,
  workerId: number,
  ticket: Ticket | undefined,
): object {
  if (moving) {
    const { move, part } = moving;
    return encodeMove({ kind: "moveConnection", move, name, hasConnection: true, part, peer });
  }
  const settled = owner !== NO_OWNER && owner !== workerId;
  return encodeToWorker({ kind: "connection", name, head, settled, ticket, peer });
}
