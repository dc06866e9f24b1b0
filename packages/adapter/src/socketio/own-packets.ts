/**
 * What a socket writes itself, and the close of its connection, keep their order with broadcasts that are on their way.
 * Owns: the guards of connections. Runs in: workers.
 */
import type { Socket } from "socket.io";
import type { SocketId } from "socket.io-adapter";
import { guardClose, unguardClose, type Wait } from "./close-guard.js";
import { connectionOf, interceptPackets, SocketPacket } from "./private-fields.js";
import type { Undelivered } from "./undelivered.js";

/** A socket whose connection, when it is closed, waits for what is on its way to it. */
class Guarded implements Wait {
  readonly socket: Socket;
  readonly #undelivered: Undelivered;

  constructor(socket: Socket, undelivered: Undelivered) {
    this.socket = socket;
    this.#undelivered = undelivered;
  }

  until(done: () => void): boolean {
    const { id } = this.socket;
    if (!this.#undelivered.concerns(id)) return false;
    this.#undelivered.after(new Set([id]), done);
    return true;
  }
}

export interface OwnPacketsHooks {
  /** The offset of the newest packet that has been delivered here. */
  newest(): string;
  /** The server is about to tell the client that its socket is closed for good. */
  onDisconnect(sid: SocketId): void;
}

export class OwnPackets {
  readonly #undelivered: Undelivered;
  readonly #maxMs: number;
  readonly #hooks: OwnPacketsHooks;
  readonly #guarded = new Map<SocketId, Guarded>();

  /** @param maxMs how long a close may wait */
  constructor(undelivered: Undelivered, maxMs: number, hooks: OwnPacketsHooks) {
    this.#undelivered = undelivered;
    this.#maxMs = maxMs;
    this.#hooks = hooks;
  }

  /** A socket may have the id of an earlier one that a listener's error has left behind. */
  has(socket: Socket): boolean {
    return this.#guarded.get(socket.id)?.socket === socket;
  }

  /** The socket is about to say CONNECT. @param onConnect is given what says so */
  add(socket: Socket, onConnect: (write: () => void) => void): void {
    interceptPackets(socket, (type, write) => this.#onPacket(socket, type, write, onConnect));
    this.forget(socket.id);
    const guarded = new Guarded(socket, this.#undelivered);
    guardClose(connectionOf(socket), guarded, this.#maxMs);
    this.#guarded.set(socket.id, guarded);
  }

  forget(sid: SocketId): void {
    const guarded = this.#guarded.get(sid);
    if (!guarded) return;
    unguardClose(connectionOf(guarded.socket), guarded);
    this.#guarded.delete(sid);
  }

  clear(): void {
    for (const sid of [...this.#guarded.keys()]) this.forget(sid);
  }

  /** Acknowledgements keep their place among the events of their socket; nothing is lost to a disconnection. */
  #onPacket(socket: Socket, type: number, write: () => void, onConnect: (write: () => void) => void): void {
    const { id } = socket;
    if (type === SocketPacket.connect) {
      onConnect(write);
    } else if (type === SocketPacket.disconnect) {
      this.#undelivered.flush(id, ({ packet, flags }) => {
        packet.setOffset(this.#hooks.newest());
        packet.writeTo(socket, packet.writeOptions(flags));
      });
      // Whoever has heard of it must not come back to the session.
      this.#hooks.onDisconnect(id);
      write();
    } else if (type === SocketPacket.ack && this.#undelivered.concerns(id)) {
      this.#undelivered.after(new Set([id]), write);
    } else {
      write();
    }
  }
}
