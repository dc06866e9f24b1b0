/**
 * The connections that the router has sent to this worker, and what must be known of one if it moves on.
 * Owns: the lane back to the router; nothing else of a connection, which is the HTTP server's. Runs in: workers.
 */
import type { Socket } from "node:net";
import { channels } from "../diagnostics.js";
import type { Handover } from "../handle/handover.js";
import { detachHandle, type Handle, overridePeerName, stopParsing } from "../handle/node-internals.js";
import { untilNone } from "../until-none.js";
import type { Peer, ToWorker } from "../wire/messages.js";
import type { Counts } from "./counts.js";
import { WayBack } from "./way-back.js";
import type { WorkerServer } from "./worker-server.js";

/** How many connections may be on their way back to the primary; what is beyond is relayed. */
const MAX_MOVING = 256;
/** How long the primary may take for the next one. */
const GIVEN_BACK_MS = 2_000;

/** What the router says of a connection that it sends. */
export type Arrival = Pick<ToWorker & { kind: "connection" }, "head" | "settled" | "peer">;

export class Arrivals {
  readonly #counts: Counts;
  readonly #wayBack: WayBack;
  readonly #hasRouter: () => boolean;
  /** Addresses that a proxy has reported. */
  readonly #peers = new WeakMap<object, Peer>();
  /** Connections that must not move on: the primary cannot reach the owner that they want. */
  readonly #settled = new WeakSet<Socket>();

  /**
   * @param serverOf the server that takes connections of a name
   * @param hasRouter whether the primary has a router that takes connections back
   */
  constructor(
    counts: Counts,
    serverOf: (name: string) => WorkerServer | undefined,
    hasRouter: () => boolean,
  ) {
    this.#counts = counts;
    this.#hasRouter = hasRouter;
    this.#wayBack = new WayBack(({ handle, name, head, peer }) => {
      const routed = serverOf(name);
      if (!routed) return handle.close();
      // That it was given away was counted as its end.
      counts.add("received");
      counts.add("kept");
      this.accept(routed, handle, { head, settled: true, peer });
    }, hasRouter);
  }

  /** The last router is closed: nobody takes anything back. */
  onOver(): void {
    this.#wayBack.onOver();
  }

  /** Gives a connection to its server. */
  accept(routed: WorkerServer, handle: Handle, { head, settled, peer }: Arrival): void {
    if (peer) overridePeer(handle, peer);
    routed.accept(handle, head, (socket) => {
      if (peer) this.#peers.set(socket, peer);
      if (settled) this.#settled.add(socket);
    });
  }

  /** Takes the connection of a session that moves here. Whoever brings the session up reads from it. */
  carry(routed: WorkerServer, handle: Handle, peer: Peer | undefined): Socket {
    if (peer) overridePeer(handle, peer);
    const socket = routed.carry(handle);
    this.#counts.add("received");
    if (peer) this.#peers.set(socket, peer);
    this.#settled.add(socket);
    return socket;
  }

  /** Ends a connection that nobody here can take. @param handle missing if its client has gone */
  drop(handle: Handle | undefined): void {
    handle?.close();
    this.#counts.add("received");
    this.#counts.add("closed");
  }

  /** The address that a proxy has reported, if one has. */
  peerOf(socket: object): Peer | undefined {
    return this.#peers.get(socket);
  }

  /** Gives a connection to the primary. */
  giveBack(handover: Handover): void {
    this.#wayBack.push(handover);
  }

  /**
   * Moves a connection to the process of the worker that owns its session.
   * @param head the bytes that were read of it
   * @returns whether it is on its way; if not, nothing has happened
   */
  move(socket: Socket, name: string, owner: number, head: string): boolean {
    if (!this.#hasRouter() || this.#settled.has(socket)) return false;
    // Relaying takes no descriptor; a connection that waits here keeps one.
    if (this.#wayBack.length >= MAX_MOVING) return false;
    if (!this.#send(socket, name, owner, head)) return false;
    this.#counts.add("moved");
    if (channels.move.hasSubscribers) channels.move.publish({ name, owner });
    return true;
  }

  /**
   * Gives a connection over which nothing is coming or going to another worker's HTTP server.
   * @returns whether it is on its way; if not, nothing has happened
   */
  passOn(socket: Socket, name: string, worker: number): boolean {
    if (!this.#hasRouter()) return false;
    stopParsing(socket);
    return this.#send(socket, name, worker, "");
  }

  /** Settles when the primary has all that were given to it, or has taken none for some seconds. */
  allGivenBack(): Promise<void> {
    return untilNone(() => this.#wayBack.length, GIVEN_BACK_MS);
  }

  #send(socket: Socket, name: string, owner: number, head: string): boolean {
    const detached = detachHandle(socket);
    if (!detached) return false;
    const { handle, buffered } = detached;
    const peer = this.#peers.get(socket);
    socket.destroy();
    const read = head + (buffered?.toString("latin1") ?? "");
    this.#wayBack.push({ handle, name, head: read, peer, owner });
    return true;
  }
}

function overridePeer(handle: Handle, peer: Peer): void {
  overridePeerName(handle, { ...peer, family: peer.address.includes(":") ? "IPv6" : "IPv4" });
}
