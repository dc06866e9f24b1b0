/**
 * Sockets that Socket.IO has closed while their connection is open, and that still have to get what was emitted
 * before: on io.close(), for one.
 * Owns: these sockets, until nothing is in flight for them. Runs in: workers.
 */
import type { Socket } from "socket.io";
import type { SocketId } from "socket.io-adapter";
import type { InFlight, Unplaced } from "./in-flight.js";
import { isOpen } from "./private-fields.js";

export class Departures {
  readonly #inFlight: InFlight;
  readonly #sockets = new Map<SocketId, Socket>();
  #onEmpty: (() => void) | undefined;
  #empty: Promise<void> | undefined;

  constructor(inFlight: InFlight) {
    this.#inFlight = inFlight;
  }

  /** Call before the socket leaves its rooms. */
  add(socket: Socket): void {
    const { id } = socket;
    if (!isOpen(socket) || !this.#inFlight.concerns(id)) return;
    this.#inFlight.decide(id);
    this.#sockets.set(id, socket);
    this.#inFlight.after(new Set([id]), () => this.#remove(socket));
  }

  /** Writes a packet to those that it is for. */
  write({ packet, flags, decided }: Unplaced): void {
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
