/**
 * Sessions that move to this worker.
 * Owns: what has come of them before their connections. Runs in: workers.
 */
import type { Duplex } from "node:stream";
import { reportFailure } from "../diagnostics.js";
import type { Handle } from "../handle/node-internals.js";
import type { Mover } from "../moves.js";
import type { Peer } from "../wire/messages.js";
import { bytesOf, type MoveMessage } from "../wire/move-messages.js";
import { decodeParcel, type Parcel, ticketOf } from "../wire/parcel.js";
import {
  decodeTicket,
  type OwnerTicket,
  type RelayTicket,
  type StreamTicket,
} from "../wire/stream-ticket.js";
import type { Arrivals } from "./arrivals.js";
import type { AwaitedStreams } from "./awaited-streams.js";
import { LandedMoves } from "./landed-moves.js";
import type { Relay } from "./relay.js";
import { type RelayedSocket, relayedSocket, whenLeaving } from "./relayed-socket.js";
import type { WorkerServer } from "./worker-server.js";

/** Where sessions of a name land. */
export interface Landing {
  readonly mover: Mover;
  readonly routed: WorkerServer;
  /** Whether no request of a session is underway but a poll that waits. */
  isAtRest(sessionId: string): boolean;
}

/** What has come. */
interface Coming {
  readonly name: string;
  readonly handle: Handle | undefined;
  readonly peer: Peer | undefined;
  readonly ticket: StreamTicket | undefined;
}

export interface MovesInHooks {
  readonly awaited: AwaitedStreams;
  landingOf(name: string): Landing | undefined;
  /** See {@link Owners.relayOf}. */
  relayOf(way: string): Relay | undefined;
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

  /** What is missing does not come. */
  onCancelled(move: number): void {
    const [first] = this.#parts.get(move) ?? [];
    this.#parts.delete(move);
    const bytes = first === undefined ? undefined : ticketOf(bytesOf([first]));
    this.#refuse(bytes && decodeTicket(bytes));
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
    const ticket = parcel?.ticket && decodeTicket(parcel.ticket);
    const canLand = (handle !== undefined || !hasConnection) && parcel && landing;
    if (!canLand && hasConnection) this.#arrivals.drop(handle);
    const isUp = canLand ? await this.#takeUp(landing, parcel, { name, handle, peer, ticket }) : false;
    if (!isUp) this.#refuse(ticket);
    this.#landed.add({ move, isUp });
  }

  async #takeUp(
    { mover, routed }: Landing,
    parcel: Parcel,
    { name, handle, peer, ticket }: Coming,
  ): Promise<boolean> {
    const { state, unread, unsent } = parcel;
    const socket =
      ticket?.end === "owner"
        ? this.#streamFor(ticket)
        : handle && this.#arrivals.carry(routed, handle, peer);
    // What was for the client goes before whatever comes from here.
    if (unsent.length > 0) socket?.write(unsent);
    try {
      const isUp =
        ticket?.end === "relay"
          ? await this.#relay(name, ticket, unread, socket)
          : await mover.land(state, unread, socket);
      if (isUp) return true;
    } catch (error) {
      reportFailure("move", "a session could not be brought up", { error: error as Error });
    }
    socket?.destroy();
    return false;
  }

  /** Who calls for a session that does not come is not to wait for it. */
  #refuse(ticket: StreamTicket | undefined): void {
    if (ticket?.end === "owner") this.#hooks.awaited.refuse(ticket.token);
  }

  /** What stands for the connection of a client that is connected to another worker, which calls. */
  #streamFor({ token, origin }: OwnerTicket): RelayedSocket {
    const { awaited } = this.#hooks;
    const socket = relayedSocket(undefined, origin);
    awaited.follow(socket);
    awaited.add(token, socket);
    whenLeaving(socket, () => socket.destroySoon());
    return socket;
  }

  async #relay(
    name: string,
    ticket: RelayTicket,
    unread: Uint8Array,
    client: Duplex | undefined,
  ): Promise<boolean> {
    const relay = client && this.#hooks.relayOf(ticket.way);
    if (!relay) return false;
    const unsent = Buffer.concat([ticket.unsent, unread]);
    return relay.resume(name, client, { ...ticket, unsent });
  }
}
