/**
 * The part of one namespace in the moves of sessions: those that leave for another worker, and those that come.
 * Owns: both, and where the acknowledgements of moved clients are waited for. Runs in: workers.
 */
import type { Namespace, Socket } from "socket.io";
import type { Room, SocketId } from "socket.io-adapter";
import type { HoldfastError } from "../errors.js";
import type { MoveHandlers } from "../member/port-contract.js";
import type { FieldReader } from "../wire/field-reader.js";
import type { LiveSessions } from "./live-sessions.js";
import type { AckPlace, ArrivingSession, Forwarded, MoveEvents, MovePort } from "./move-port.js";
import { type Landing, MovingIn } from "./moving-in.js";
import { MovingOut } from "./moving-out.js";
import {
  type Connection,
  interceptAcks,
  nextPacketId,
  numberAcksFrom,
  pendingAcks,
  writePacket,
} from "./private-fields.js";
import { cut } from "./private-fields-engine.js";

export interface MovesContext {
  readonly nsp: Namespace;
  readonly port: MovePort;
  live(): LiveSessions | undefined;
  enter(sid: SocketId, rooms: Set<Room>): void;
  leave(sid: SocketId): void;
  giveUp(handle: number): void;
  /** Writes what is held for a socket that is about to leave. */
  flush(sid: SocketId): void;
  /** Everything up to this offset that is for a socket of this worker has come before. */
  onOffset(offset: string): void;
  onError(error: HoldfastError): void;
}

/** What a client that moves takes along of a socket, besides what the hub knows. */
export interface AckState extends AckPlace {
  /** The number that the client knows. */
  readonly of: number;
}

export class Moves implements Omit<MoveHandlers, "onReturned"> {
  readonly in: MovingIn;
  readonly out: MovingOut;
  readonly #context: MovesContext;
  readonly #foreignAcks = new WeakMap<Socket, Map<number, AckPlace>>();
  readonly #events: MoveEvents;

  constructor(context: MovesContext) {
    const { nsp, port, live, enter, leave, giveUp, flush } = context;
    this.#context = context;
    this.out = new MovingOut(nsp, port, { live, flush });
    this.in = new MovingIn({ enter, leave, giveUp, cut, heard: (handle) => port.heard(handle) });
    this.#events = {
      onCut: (handle, moves) => this.out.onCut(handle, moves),
      onArriving: (session) => {
        context.onOffset(session.offset);
        this.in.onArriving(session);
      },
      onForwarded: (forwarded) => this.#onForwarded(forwarded),
      onAck: (sid, id, args) => this.out.onAck(sid, id, args),
      onLost: (sid) => this.in.abandon(sid),
      onHeard: (handle) => this.in.onHeard(handle),
    };
  }

  onFrame(kind: number, fields: FieldReader): boolean {
    return this.#context.port.read(kind, fields, this.#events);
  }

  onUnlinked(): void {
    this.out.onUnlinked();
    this.in.onUnlinked();
  }

  close(): void {
    this.out.close();
    this.in.close();
  }

  /** What Socket.IO makes the socket of, for a connection that has come from another worker. */
  sessionFor(privateId: string, connection: Connection | undefined): ArrivingSession | undefined {
    return this.in.sessionFor(privateId, connection);
  }

  /** A socket is about to be connected; undefined if it has not moved here. */
  land(socket: Socket): Landing | undefined {
    const landing = this.in.land(socket);
    if (!landing) return undefined;
    this.#adoptAcks(socket, landing.acks);
    return landing;
  }

  /** The connection of a session that was given away is lost. */
  lost(sid: SocketId): void {
    this.#context.port.lost(sid);
  }

  /** Where the acknowledgements are waited for that the client owes. */
  acksOf(socket: Socket): AckState[] {
    const member = this.#context.port.memberId;
    const own = pendingAcks(socket).map((id) => ({ of: id, member, id }));
    const foreign = [...(this.#foreignAcks.get(socket) ?? [])].map(([of, place]) => ({ of, ...place }));
    return [...own, ...foreign];
  }

  #adoptAcks(socket: Socket, acks: ReadonlyMap<number, AckPlace>): void {
    const foreign = new Map(acks);
    this.#foreignAcks.set(socket, foreign);
    // What this worker asks must not have a number that the client has seen already. They may be too many for the
    // arguments of one call: a client need not acknowledge anything.
    let next = 0;
    for (const id of foreign.keys()) next = Math.max(next, id + 1);
    numberAcksFrom(this.#context.nsp, next);
    interceptAcks(socket, (id, args) => {
      const place = foreign.get(id);
      if (!place) return false;
      foreign.delete(id);
      this.#sendAck(socket.id, place, args);
      return true;
    });
  }

  #sendAck(sid: SocketId, place: AckPlace, args: unknown[]): void {
    try {
      this.#context.port.ack(place, sid, args);
    } catch (error) {
      this.#context.onError(error as HoldfastError);
    }
  }

  /** A socket that was left behind writes to its client. */
  #onForwarded({ sid, packet, ack }: Forwarded): void {
    const write = (socket: Socket) => {
      if (!ack) return packet.writeTo(socket, packet.writeOptions({}));
      const { packet: decoded } = packet;
      if (!decoded) return;
      // The two workers count for themselves.
      const id = nextPacketId(this.#context.nsp);
      this.#foreignAcks.get(socket)?.set(id, ack);
      writePacket(socket, { ...decoded, id });
    };
    const socket = this.#context.nsp.sockets.get(sid);
    if (socket) write(socket);
    else this.in.push(sid, write);
  }
}
