/**
 * Sockets that Socket.IO has closed while their connection is open, and that still have to get what was emitted
 * before: on io.close(), for one.
 * Owns: these sockets, until nothing is on its way to them. Runs in: workers.
 */
import type { Socket } from "socket.io";
import type { BroadcastFlags, SocketId } from "socket.io-adapter";
import type { PreparedPacket } from "./prepared-packet.js";
import { isOpen } from "./private-fields.js";
import type { Undelivered } from "./undelivered.js";

export class Departures {
  readonly #undelivered: Undelivered;
  readonly #sockets = new Map<SocketId, Socket>();
  #onEmpty: (() => void) | undefined;
  #empty: Promise<void> | undefined;

  constructor(undelivered: Undelivered) {
    this.#undelivered = undelivered;
  }

  /** Call before the socket leaves its rooms. */
  add(socket: Socket): void {
    const { id } = socket;
    if (!isOpen(socket) || !this.#undelivered.concerns(id)) return;
    this.#undelivered.inFlight.decide(id);
    this.#sockets.set(id, socket);
    this.#undelivered.after(new Set([id]), () => this.#remove(socket));
  }

  has(sid: SocketId): boolean {
    return this.#sockets.has(sid);
  }

  get(sid: SocketId): Socket | undefined {
    return this.#sockets.get(sid);
  }

  /** Writes a packet to those that it is for. */
  write(packet: PreparedPacket, flags: BroadcastFlags, decided?: ReadonlyMap<SocketId, boolean>): void {
    for (const [id, socket] of this.#sockets) {
      if (decided?.get(id)) packet.writeTo(socket, packet.writeOptions(flags));
    }
  }

  /** Settles when everybody has got everything; undefined if nobody waits for anything. */
  get settled(): Promise<void> | undefined {
    if (this.#sockets.size === 0) return undefined;
    this.#empty ??= new Promise((resolve) => {
      this.#onEmpty = resolve;
    });
    return this.#empty;
  }

  /** Nobody gets anything any more. */
  clear(): void {
    this.#sockets.clear();
    this.#onEmpty?.();
  }

  #remove(socket: Socket): void {
    if (this.#sockets.get(socket.id) === socket) this.#sockets.delete(socket.id);
    if (this.#sockets.size > 0) return;
    this.#onEmpty?.();
    this.#empty = undefined;
  }
}
