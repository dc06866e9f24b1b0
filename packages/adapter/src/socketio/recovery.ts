/**
 * Connection state recovery of one namespace on one worker: its packets go to the hub to be placed, its sessions are
 * known there, and sessions of other workers are restored here. Runs in: workers.
 * Owns: what is on its way to sockets, the live sessions, the restores.
 *
 * Longer than other files: the one order of packets, joins, answers and closes of a socket is kept by all of this
 * together.
 */
import type { Socket } from "socket.io";
import type { BroadcastFlags, Room, SocketId } from "socket.io-adapter";
import type { HoldfastError } from "../errors.js";
import type { RecoveryHandlers } from "../member/port-contract.js";
import type { FieldReader } from "../wire/field-reader.js";
import { staysHere } from "../wire/names.js";
import { OFFSET_BYTES } from "../wire/offset.js";
import { unpackValue } from "../wire/values.js";
import { Delivery, type LocalDelivery, matches } from "./delivery.js";
import { Departures } from "./departures.js";
import type { InFlight, Unplaced } from "./in-flight.js";
import type { JoiningSockets } from "./joining-sockets.js";
import { LiveSessions } from "./live-sessions.js";
import type { ArrivingSession, MovePort } from "./move-port.js";
import { movedSocketOf } from "./moved-clients.js";
import { Moves } from "./moves.js";
import { Orders } from "./orders.js";
import { OwnPackets } from "./own-packets.js";
import { PreparedPacket } from "./prepared-packet.js";
import {
  canRecover,
  closeConnection,
  observeRestores,
  type Packet,
  type RestoreObserver,
  recoveryOptionsOf,
} from "./private-fields.js";
import { RecoveryPort } from "./recovery-port.js";
import { type RestoredSession, Restores } from "./restores.js";
import { Undelivered } from "./undelivered.js";
import { batchWrites } from "./write-batch.js";

/** No hub has said where we are yet. No hub mistakes this for one of its own offsets. */
const NOWHERE = "0".repeat(OFFSET_BYTES);
const MAX_MS = 2 ** 31 - 1;

/** What the adapter does for recovery. */
export interface RecoveryContext extends LocalDelivery {
  /** How long what is closed may wait for the hub. Milliseconds. */
  readonly requestsTimeout: number;
  /** Whether a socket is in the room. */
  hasRoom(room: Room): boolean;
  /** Sends a packet that is not kept to the other workers. */
  send(packet: PreparedPacket, rooms: Set<Room>, except: Set<Room>, flags: BroadcastFlags): void;
  /** A session that comes from another worker is in these rooms. */
  enter(sid: SocketId, rooms: Set<Room>): void;
  /** It does not come. */
  leave(sid: SocketId): void;
  onError(error: HoldfastError): void;
}

export class Recovery implements RecoveryHandlers {
  readonly durationMs: number;
  readonly retainMs: number;
  readonly #context: RecoveryContext;
  readonly #orders = new Orders();
  readonly #undelivered: Undelivered;
  readonly #inFlight: InFlight;
  readonly #joining: JoiningSockets;
  /** Closed sockets that still get what was emitted before. */
  readonly #departures: Departures;
  readonly #delivery: Delivery;
  readonly #ownPackets: OwnPackets;
  #port: RecoveryPort | undefined;
  #live: LiveSessions | undefined;
  #restores: Restores | undefined;
  #restoring: RestoreObserver | undefined;
  #moves: Moves | undefined;
  /** Offset of the newest packet that has been delivered here: what packets carry that are not kept. */
  #newest = NOWHERE;

  private constructor(context: RecoveryContext, durationMs: number, unnoticedMs: number) {
    this.#context = context;
    this.durationMs = Math.min(durationMs, MAX_MS);
    // A connection that is lost unnoticed misses packets before its session is suspended.
    this.retainMs = Math.min(durationMs + unnoticedMs, MAX_MS);
    const isFor = (record: Unplaced, sid: SocketId) => matches(record, context.roomsOf(sid));
    this.#undelivered = new Undelivered(isFor, this.#orders, batchWrites);
    this.#inFlight = this.#undelivered.inFlight;
    this.#joining = this.#undelivered.joining;
    this.#departures = new Departures(this.#undelivered);
    this.#delivery = new Delivery(context, this.#joining, this.#departures);
    this.#ownPackets = new OwnPackets(this.#undelivered, context.requestsTimeout, {
      newest: () => this.#newest,
      onDisconnect: (sid) => this.#live?.forget(sid),
    });
  }

  /** @returns undefined where the server has no `connectionStateRecovery` */
  static of(context: RecoveryContext): Recovery | undefined {
    const options = recoveryOptionsOf(context.nsp);
    return options && new Recovery(context, options.maxDisconnectionDuration, options.unnoticedMs);
  }

  /** Must be called before anything else. */
  connect(port: RecoveryPort, movePort: MovePort): void {
    const { nsp, onError, enter, leave } = this.#context;
    this.#port = port;
    this.#live = new LiveSessions(port, onError);
    this.#restores = new Restores(nsp, port, onError);
    this.#restoring = observeRestores(nsp, (connection) => movedSocketOf(nsp, connection));
    this.#moves = new Moves({
      nsp,
      port: movePort,
      live: () => this.#live,
      enter,
      leave,
      giveUp: (handle) => port.sessionEnd(handle, true),
      flush: (sid) => this.#joining.flush(sid),
      onOffset: (offset) => {
        this.#newest = offset;
      },
      onError,
    });
  }

  /** Undefined before {@link connect}. */
  get moves(): Moves | undefined {
    return this.#moves;
  }

  /**
   * Nothing more is restored here, and nothing told of sessions.
   * @returns what settles when closed sockets have got what was emitted before; undefined if they have
   */
  leave(): Promise<void> | undefined {
    this.#live?.close();
    this.#restores?.close();
    this.#restoring?.release();
    return this.#departures.settled;
  }

  close(): void {
    void this.leave();
    this.#moves?.close();
    this.#undelivered.clear();
    this.#departures.clear();
    this.#ownPackets.clear();
  }

  /** Broadcasts an event that wants no acknowledgement. */
  broadcast(packet: Packet, rooms: Set<Room>, except: Set<Room>, flags: BroadcastFlags): void {
    const { nsp, send } = this.#context;
    const prepared = PreparedPacket.encodeWithOffset(nsp, packet);
    const isPlaced = !flags.volatile && !flags.local && !staysHere(rooms);
    // Those that leave get what is not placed through the hub.
    const decided = isPlaced || flags.local ? undefined : this.#moves?.out.excluded;
    const record: Unplaced = { packet: prepared, rooms, except, flags, decided };
    if (!isPlaced) {
      if (!flags.local) send(prepared, rooms, except, flags);
      return this.#inFlight.follow(record, this.#deliverUnplaced);
    }
    if (!this.#port?.canPlace()) return this.#inFlight.follow(record, this.#deliverUnplaced);
    const echo = this.#hasAudience(rooms);
    if (echo) this.#inFlight.push(record);
    this.#port.record(prepared, rooms, except, flags, echo, () => this.#inFlight.remove(record));
  }

  /** Runs what else this worker sends to these sockets, after what it has sent before. */
  inOrder(sids: ReadonlySet<SocketId>, run: (sids: ReadonlySet<SocketId>) => void): void {
    this.#undelivered.after(sids, run);
  }

  /** Runs what another worker sends to these sockets, after what is held for them. */
  afterHeld(sids: ReadonlySet<SocketId>, run: (sids: ReadonlySet<SocketId>) => void): void {
    this.#joining.after(sids, run);
  }

  /** Delivers a packet of another worker that is not kept. */
  deliver(
    packet: PreparedPacket,
    rooms: ReadonlySet<Room>,
    except: ReadonlySet<Room>,
    flags: BroadcastFlags,
  ): void {
    this.#delivery.deliver(this.#newest, { packet, rooms, except, flags, decided: undefined });
  }

  /** Gets a session back for a client. */
  restore(privateId: string, offset: string): Promise<RestoredSession | null> {
    const arriving = this.#moves?.sessionFor(privateId, this.#restoring?.connection);
    if (arriving) return Promise.resolve(sessionOf(arriving));
    return this.#restores?.ask(privateId, offset, this.#restoring?.connection) ?? Promise.resolve(null);
  }

  /** Whether the socket gets a session back, whose rooms the hub knows. */
  isReturning(sid: SocketId): boolean {
    return this.#restores?.has(sid) === true || this.#moves?.in.has(sid) === true;
  }

  /** Call before a socket's rooms change. */
  beforeRooms(sid: SocketId): void {
    if (!this.isReturning(sid)) this.#inFlight.decide(sid);
  }

  /**
   * A socket has joined rooms.
   * @param known settles when the hub knows them; undefined when it does
   */
  onJoin(sid: SocketId, rooms: ReadonlySet<Room>, known: Promise<void> | undefined): void {
    // The hub knows the rooms of a session that comes back.
    if (known && !this.isReturning(sid)) this.#joining.add(sid, known, this.#newest);
    this.#live?.changed(sid, true, rooms);
  }

  onLeave(sid: SocketId, room: Room): void {
    this.#live?.changed(sid, false, new Set([room]));
  }

  /** The socket is gone, or will never be connected. */
  onGone(sid: SocketId): void {
    this.#ownPackets.forget(sid);
    if (!this.#departures.has(sid)) this.#joining.forget(sid);
    this.#live?.forget(sid);
    this.#restores?.abandon(sid);
    this.#moves?.in.abandon(sid);
  }

  /** The socket is gone; its client may come back. */
  persist(sid: SocketId, data: unknown): void {
    const socket = this.#context.nsp.sockets.get(sid);
    if (socket) this.#departures.add(socket);
    // If its client comes back, it gets what was held.
    if (!this.#departures.has(sid)) this.#joining.forget(sid);
    this.#live?.suspend(sid, data, this.#context.roomsOf(sid));
  }

  complete(place: Buffer): void {
    place.write(this.#newest, "latin1");
  }

  onOpened(offset: string, isBack: boolean): void {
    const wasCutOff = isBack && this.#newest !== NOWHERE;
    this.onOrder(offset);
    this.#live?.report(this.#context.roomsOf);
    // They have missed what the hub placed meanwhile, and get it when they come back.
    if (wasCutOff) for (const socket of this.#live?.sockets ?? []) this.#sendAway(socket);
    this.#restores?.onOpened();
  }

  /** Packets are placed in this offset's order from now on; those of earlier ones have come, or are sent on late. */
  onOrder(offset: string): void {
    this.#orders.begin(offset);
    this.#newest = offset;
  }

  onUnlinked(): void {
    this.#restores?.onUnlinked();
  }

  onAlone(): void {
    this.#inFlight.drain(this.#deliverUnplaced);
  }

  onNoHub(): void {
    this.#restores?.onNoHub();
  }

  /**
   * Whether this worker needs to keep a packet of its own until it has its place. For sessions on their way it does, also
   * before their rooms are known here: they may be connected by the time the packet is placed.
   */
  #hasAudience(rooms: ReadonlySet<Room>): boolean {
    if (this.#restores?.isIdle === false) return true;
    if (rooms.size === 0) return this.#context.nsp.sockets.size > 0;
    for (const room of rooms) if (this.#context.hasRoom(room)) return true;
    return false;
  }

  readonly #deliverUnplaced = (record: Unplaced): void => {
    record.packet.setOffset(this.#newest);
    this.#delivery.deliver(this.#newest, record);
  };

  onRecord(flags: BroadcastFlags, fields: FieldReader): void {
    const offset = fields.tail(fields.u32(), OFFSET_BYTES).toString("latin1");
    const isOwn = this.#port?.isOwn(fields.u32()) === true;
    const [rooms, except] = [fields.names(), fields.names()];
    const packet = PreparedPacket.read(this.#context.nsp, fields, true);
    if (this.#restores?.takeMissed(packet, flags)) return;
    const record: Unplaced = { packet, rooms, except, flags, decided: undefined };
    if (this.#isLate(offset)) return this.#delivery.deliverLate(offset, record);
    // A packet of this worker comes back if nobody here was in its rooms when it was made. It is not for sockets that
    // have joined since, but it may be for a session that has moved here since.
    this.#keepForRestores(offset, record);
    if (isOwn) this.#deliverToArrivals(offset, record);
    else this.#delivery.deliver(offset, record);
  }

  onPlaced(fields: FieldReader): void {
    const offset = fields.rest().toString("latin1");
    this.#inFlight.placed((record) => {
      record.packet.setOffset(offset);
      this.#keepForRestores(offset, record);
      this.#delivery.deliver(offset, record);
    });
  }

  /** Whether newer packets have been delivered: the hub sends this one on to sockets that had joined before. */
  #isLate(offset: string): boolean {
    return !this.#orders.isAfter(offset, this.#newest);
  }

  /** Nobody here knew of them when the packet was made. */
  #deliverToArrivals(offset: string, record: Unplaced): void {
    const { packet, flags } = record;
    for (const sid of this.#moves?.in.fresh((rooms) => matches(record, rooms)) ?? []) {
      const isWaiting = this.#moves?.in.push(sid, (socket) =>
        packet.writeTo(socket, packet.writeOptions(flags)),
      );
      if (!isWaiting) this.#delivery.deliverTo(sid, offset, record);
    }
  }

  #keepForRestores(offset: string, record: Unplaced): void {
    this.#newest = offset;
    if (this.#restores?.isEmpty !== false) return;
    this.#restores.offer(record.packet, record.flags, (sid, given) => {
      const current = this.#context.roomsOf(sid);
      return matches(record, current.size > 0 ? current : given);
    });
  }

  onMissed(fields: FieldReader): void {
    this.#restores?.onMissed(RecoveryPort.readMissed(fields));
  }

  onRestored(fields: FieldReader): void {
    const answer = RecoveryPort.readRestored(fields);
    // Everything up to here that is for a socket of this worker has come before.
    this.#newest = answer.offset;
    this.#restores?.onAnswer(answer);
  }

  onFence(fields: FieldReader): void {
    const handle = fields.u32();
    if (this.#restores?.fence(handle) || this.#moves?.in.fence(handle)) return;
    const socket = this.#live?.socketOf(handle);
    if (socket) this.#sendAway(socket);
  }

  #sendAway(socket: Socket): void {
    const { id, data } = socket;
    closeConnection(socket);
    // Socket.IO may be kept from saying so, and the hub need not wait for that.
    this.#live?.suspend(id, data, this.#context.roomsOf(id));
  }

  /** The socket is about to say CONNECT; it may say so again by joining the room of its own id. */
  onConnect(socket: Socket): void {
    if (this.#ownPackets.has(socket)) return;
    const rooms = this.#context.roomsOf(socket.id);
    const landing = this.#moves?.land(socket);
    if (landing) {
      // Its client has been connected all the time.
      this.#ownPackets.add(socket, () => landing.run());
      this.#live?.adopt(landing.handle, socket, rooms, landing.data);
      return;
    }
    const arrival = this.#restores?.arrive(socket.id);
    const missed = [...(arrival?.packets ?? [])];
    // What was missed follows CONNECT. Before it, the client would put it aside without taking note of the offset, and
    // get it again if the connection broke in between.
    this.#ownPackets.add(socket, (write) => {
      write();
      for (const { packet, flags } of missed.splice(0)) packet.writeTo(socket, packet.writeOptions(flags));
    });
    if (!canRecover(socket)) return;
    if (arrival) this.#live?.adopt(arrival.handle, socket, rooms, arrival.data);
    else this.#live?.open(socket, rooms);
  }
}

/** What Socket.IO makes a socket of, for a session that has come from another worker. */
function sessionOf({ sid, privateId: pid, rooms, data }: ArrivingSession): RestoredSession {
  return { sid, pid, rooms: [...rooms], data: data.length > 0 ? unpackValue(data) : {}, missedPackets: [] };
}
