/**
 * Packets of one namespace with recovery reach this worker's sockets: at once, or held for sockets whose joins the hub
 * may not know yet, so that each gets everything in one order.
 * Runs in: workers.
 */
import type { Namespace } from "socket.io";
import type { BroadcastFlags, Room, SocketId } from "socket.io-adapter";
import type { Departures } from "./departures.js";
import type { Unplaced } from "./in-flight.js";
import type { JoiningSockets } from "./joining-sockets.js";
import type { PreparedPacket } from "./prepared-packet.js";

/** What the adapter knows of this worker's sockets. */
export interface LocalDelivery {
  readonly nsp: Namespace;
  roomsOf(sid: SocketId): ReadonlySet<Room>;
  /** Writes to this worker's sockets; for those in `decided` it says whether they get it. */
  deliver(
    packet: PreparedPacket,
    rooms: ReadonlySet<Room>,
    except: ReadonlySet<Room>,
    flags: BroadcastFlags,
    decided?: ReadonlyMap<SocketId, boolean>,
  ): void;
}

export class Delivery {
  readonly #local: LocalDelivery;
  readonly #joining: JoiningSockets;
  readonly #departures: Departures;

  constructor(local: LocalDelivery, joining: JoiningSockets, departures: Departures) {
    this.#local = local;
    this.#joining = joining;
    this.#departures = departures;
  }

  /** Delivers what carries this offset; for sockets that are joining it is held. */
  deliver(offset: string, record: Unplaced): void {
    const { packet, rooms, except, flags, decided } = record;
    let others: Map<SocketId, boolean> | undefined;
    for (const sid of this.#joining.sids()) {
      if (!(decided?.get(sid) ?? matches(record, this.#local.roomsOf(sid)))) continue;
      this.deliverTo(sid, offset, record);
      others ??= new Map(decided);
      others.set(sid, false);
    }
    const byNow = others ?? decided;
    this.#local.deliver(packet, rooms, except, flags, byNow);
    this.#departures.write(packet, flags, byNow);
  }

  /** Newer packets have been delivered: the hub sends this one on to sockets that had joined before. */
  deliverLate(offset: string, record: Unplaced): void {
    for (const sid of this.#joining.before(offset)) {
      if (matches(record, this.#local.roomsOf(sid))) this.deliverTo(sid, offset, record);
    }
  }

  /** Delivers to one socket, whatever rooms it is in now. */
  deliverTo(sid: SocketId, offset: string, { packet, flags }: Unplaced): void {
    this.#joining.hold(sid, offset, () => {
      const socket = this.#departures.get(sid) ?? this.#local.nsp.sockets.get(sid);
      if (socket) packet.writeTo(socket, packet.writeOptions(flags));
    });
  }
}

/** Whether the packet is for a socket that is in these rooms. */
export function matches(
  { rooms, except }: Pick<Unplaced, "rooms" | "except">,
  joined: ReadonlySet<Room>,
): boolean {
  if (joined.size === 0) return false;
  for (const room of except) if (joined.has(room)) return false;
  if (rooms.size === 0) return true;
  for (const room of rooms) if (joined.has(room)) return true;
  return false;
}
