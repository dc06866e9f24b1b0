/**
 * Connection state recovery of one namespace on one worker: its packets go to the hub to be placed, its
 * sessions are known there, and sessions of other workers are restored here.
 * Owns: the packets in flight, the live sessions, the restores. Runs in: workers.
 */
import type { Namespace, Socket } from "socket.io";
import type { BroadcastFlags, Room, SocketId } from "socket.io-adapter";
import type { HoldfastError } from "../errors.js";
import type { RecoveryHandlers } from "../member/port-contract.js";
import type { FieldReader } from "../wire/field-reader.js";
import { OFFSET_BYTES, sameOrder } from "../wire/offset.js";
import { Departures } from "./departures.js";
import { InFlight, type Unplaced } from "./in-flight.js";
import { LiveSessions } from "./live-sessions.js";
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

/** No hub has said where we are yet. No hub mistakes this for one of its own offsets. */
const NOWHERE = "0".repeat(OFFSET_BYTES);
const MAX_MS = 2 ** 31 - 1;

/** What the adapter does for recovery. */
export interface RecoveryContext {
  readonly nsp: Namespace;
  /** How long what is closed may wait for the hub. Milliseconds. */
  readonly requestsTimeout: number;
  roomsOf(sid: SocketId): ReadonlySet<Room>;
  /** Whether a socket is in the room. */
  hasRoom(room: Room): boolean;
  /** Writes to this worker's sockets; for those in `decided` it says whether they get it. */
  deliver(
    packet: PreparedPacket,
    rooms: Set<Room>,
    except: Set<Room>,
    flags: BroadcastFlags,
    decided?: ReadonlyMap<SocketId, boolean>,
  ): void;
  /** Sends a packet that is not kept to the other workers. */
  send(packet: PreparedPacket, rooms: Set<Room>, except: Set<Room>, flags: BroadcastFlags): void;
  onError(error: HoldfastError): void;
}

export class Recovery implements RecoveryHandlers {
  readonly durationMs: number;
  readonly retainMs: number;
  readonly #context: RecoveryContext;
  readonly #inFlight: InFlight;
  /** Closed sockets that still get what was emitted before. */
  readonly #departures: Departures;
  readonly #ownPackets: OwnPackets;
  #port: RecoveryPort | undefined;
  #live: LiveSessions | undefined;
  #restores: Restores | undefined;
  #restoring: RestoreObserver | undefined;
  /** Offset of the newest packet that has been delivered here: what packets carry that are not kept. */
  #newest = NOWHERE;

  private constructor(context: RecoveryContext, durationMs: number, unnoticedMs: number) {
    this.#context = context;
    this.durationMs = Math.min(durationMs, MAX_MS);
    // A connection that is lost unnoticed misses packets before its session is suspended.
    this.retainMs = Math.min(durationMs + unnoticedMs, MAX_MS);
    this.#inFlight = new InFlight((record, sid) => matches(record, context.roomsOf(sid)));
    this.#departures = new Departures(this.#inFlight);
    this.#ownPackets = new OwnPackets(this.#inFlight, context.requestsTimeout, () => this.#newest);
  }

  /** @returns undefined where the server has no `connectionStateRecovery` */
  static of(context: RecoveryContext): Recovery | undefined {
    const options = recoveryOptionsOf(context.nsp);
    return options && new Recovery(context, options.maxDisconnectionDuration, options.unnoticedMs);
  }

  /** Must be called before anything else. */
  connect(port: RecoveryPort): void {
    const { nsp, onError } = this.#context;
    this.#port = port;
    this.#live = new LiveSessions(port, onError);
    this.#restores = new Restores(nsp, port);
    this.#restoring = observeRestores(nsp);
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
    this.#inFlight.clear();
    this.#departures.clear();
    this.#ownPackets.clear();
  }

  /** Broadcasts an event that wants no acknowledgement. */
  broadcast(packet: Packet, rooms: Set<Room>, except: Set<Room>, flags: BroadcastFlags): void {
    const { nsp, send } = this.#context;
    const prepared = PreparedPacket.encodeWithOffset(nsp, packet);
    const record: Unplaced = { packet: prepared, rooms, except, flags, decided: undefined };
    if (flags.volatile || flags.local) {
      if (!flags.local) send(prepared, rooms, except, flags);
      return this.#inFlight.follow(record, this.#deliverUnplaced);
    }
    if (!this.#port?.canPlace) return this.#inFlight.follow(record, this.#deliverUnplaced);
    const echo = this.#hasAudience(rooms);
    if (echo) this.#inFlight.push(record);
    this.#port.record(prepared, rooms, except, flags, echo, () => this.#inFlight.remove(record));
  }

  /** Runs what else this worker sends to these sockets, after what it has sent before. */
  inOrder(sids: ReadonlySet<SocketId>, run: (sids: ReadonlySet<SocketId>) => void): void {
    this.#inFlight.after(sids, run);
  }

  /** Gets a session back for a client. */
  restore(privateId: string, offset: string): Promise<RestoredSession | null> {
    return this.#restores?.ask(privateId, offset, this.#restoring?.connection) ?? Promise.resolve(null);
  }

  /** Whether the socket gets a session back, whose rooms the hub knows. */
  isReturning(sid: SocketId): boolean {
    return this.#restores?.has(sid) === true;
  }

  /** Call before a socket's rooms change. */
  beforeRooms(sid: SocketId): void {
    if (!this.isReturning(sid)) this.#inFlight.decide(sid);
  }

  /** A socket has joined rooms. */
  onJoin(sid: SocketId, rooms: ReadonlySet<Room>): void {
    this.#live?.changed(sid, true, rooms);
  }

  onLeave(sid: SocketId, room: Room): void {
    this.#live?.changed(sid, false, new Set([room]));
  }

  /** The socket is gone, or will never be connected. */
  onGone(sid: SocketId): void {
    this.#ownPackets.forget(sid);
    this.#live?.forget(sid);
    this.#restores?.abandon(sid);
  }

  /** The socket is gone; its client may come back. */
  persist(sid: SocketId, data: unknown): void {
    const socket = this.#context.nsp.sockets.get(sid);
    if (socket) this.#departures.add(socket);
    this.#live?.suspend(sid, data, this.#context.roomsOf(sid));
  }

  complete(place: Buffer): void {
    place.write(this.#newest, "latin1");
  }

  onOpened(offset: string): void {
    const wasCutOff = sameOrder(offset, this.#newest);
    this.#newest = offset;
    this.#live?.report(this.#context.roomsOf);
    // They have missed what the hub placed meanwhile, and get it when they come back.
    if (wasCutOff) for (const socket of this.#live?.sockets ?? []) this.#sendAway(socket);
    this.#restores?.onOpened();
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

  #hasAudience(rooms: ReadonlySet<Room>): boolean {
    if (rooms.size === 0) return this.#context.nsp.sockets.size > 0 || this.#restores?.isEmpty === false;
    for (const room of rooms) if (this.#context.hasRoom(room)) return true;
    return false;
  }

  readonly #deliverUnplaced = (record: Unplaced): void => {
    record.packet.setOffset(this.#newest);
    this.#deliver(record);
  };

  #deliver(record: Unplaced): void {
    const { packet, rooms, except, flags, decided } = record;
    this.#context.deliver(packet, rooms, except, flags, decided);
    this.#departures.write(record);
  }

  onRecord(flags: BroadcastFlags, fields: FieldReader): void {
    const offset = fields.tail(fields.u32(), OFFSET_BYTES).toString("latin1");
    const [rooms, except] = [fields.names(), fields.names()];
    const packet = PreparedPacket.read(this.#context.nsp, fields, true);
    if (this.#restores?.takeMissed(packet, flags)) return;
    this.#deliverPlaced(offset, { packet, rooms, except, flags, decided: undefined });
  }

  onPlaced(fields: FieldReader): void {
    const offset = fields.rest().toString("latin1");
    this.#inFlight.placed((record) => {
      record.packet.setOffset(offset);
      this.#deliverPlaced(offset, record);
    });
  }

  #deliverPlaced(offset: string, record: Unplaced): void {
    const { packet, flags } = record;
    this.#newest = offset;
    if (this.#restores?.isEmpty === false) {
      this.#restores.offer(packet, flags, (sid, given) => {
        const current = this.#context.roomsOf(sid);
        return matches(record, current.size > 0 ? current : given);
      });
    }
    this.#deliver(record);
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
    if (this.#restores?.fence(handle)) return;
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
    const arrival = this.#restores?.arrive(socket.id);
    this.#ownPackets.add(socket, [...(arrival?.packets ?? [])]);
    if (!canRecover(socket)) return;
    if (arrival) this.#live?.adopt(arrival.handle, socket, rooms, arrival.data);
    else this.#live?.open(socket, rooms);
  }
}

function matches({ rooms, except }: Unplaced, joined: ReadonlySet<Room>): boolean {
  if (joined.size === 0) return false;
  for (const room of except) if (joined.has(room)) return false;
  if (rooms.size === 0) return true;
  for (const room of rooms) if (joined.has(room)) return true;
  return false;
}
