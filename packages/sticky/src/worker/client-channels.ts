/**
 * The channels to owners that one client's connection has opened.
 * Owns: those that are idle, until the client's connection closes. Runs in: workers.
 *
 * To the application, a channel is the connection of that client: what it keeps with it, such as an identity, must
 * never be seen by another client's request. So channels are not shared.
 */
import type { Socket } from "node:net";
import type { OwnerChannel } from "./owner-channel.js";
import type { OwnerLink } from "./owner-link.js";

/**
 * How many requests of one connection are relayed at a time. Only pipelining sends a request before the last one is
 * answered.
 */
const MAX_PIPELINED = 64;

const bySocket = new WeakMap<Socket, ClientChannels>();

export class ClientChannels {
  static of(socket: Socket): ClientChannels {
    let channels = bySocket.get(socket);
    if (!channels) {
      channels = new ClientChannels(socket);
      bySocket.set(socket, channels);
    }
    return channels;
  }

  readonly #idle = new Map<OwnerLink, OwnerChannel[]>();
  #busy = 0;
  // open → closed
  #state: "open" | "closed" = "open";

  private constructor(socket: Socket) {
    if (socket.destroyed) this.#close();
    else socket.prependOnceListener("close", () => this.#close());
  }

  /** Counts a request in; `false` if there are too many. */
  begin(): boolean {
    if (this.#busy >= MAX_PIPELINED) return false;
    this.#busy++;
    return true;
  }

  finish(): void {
    this.#busy--;
  }

  /** An idle channel to that owner. */
  take(link: OwnerLink): OwnerChannel | undefined {
    const idle = this.#idle.get(link);
    for (let channel = idle?.pop(); channel; channel = idle?.pop()) if (channel.isUsable()) return channel;
    this.#idle.delete(link);
    return undefined;
  }

  keep(link: OwnerLink, channel: OwnerChannel): void {
    if (this.#state === "closed") return channel.destroy();
    const idle = this.#idle.get(link);
    if (idle) idle.push(channel);
    else this.#idle.set(link, [channel]);
  }

  #close(): void {
    this.#state = "closed";
    for (const channels of this.#idle.values()) for (const channel of channels) channel.destroy();
    this.#idle.clear();
  }
}
