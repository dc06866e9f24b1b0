/**
 * The worker's end of the IPC channel: takes the connections that the router sends.
 * Owns: the "message" listener of the process, the servers by name, the counts, the
 * lane back to the router. Runs in: workers, one for all servers of the process.
 */
import cluster from "node:cluster";
import { EventEmitter, once } from "node:events";
import type { Server as NetServer, Socket } from "node:net";
import createDebug from "debug";
import { HoldfastError } from "../errors.js";
import type { Handover } from "../handle/handover.js";
import { Lane } from "../handle/lane.js";
import {
  adoptHandle,
  detachHandle,
  type Handle,
  overridePeerName,
  trackHttpConnections,
} from "../handle/node-internals.js";
import type { WorkerProcessStats } from "../stats.js";
import {
  decodeToWorker,
  encodeToPrimary,
  type Peer,
  PROTOCOL_VERSION,
  type ToPrimary,
  type ToWorker,
} from "../wire/messages.js";
import { NO_OWNER } from "../wire/owner-mark.js";
import { Neighbours } from "./neighbours.js";

const debug = createDebug("holdfast:sticky:worker");

/** How long counts are collected before the primary hears of them. */
const REPORT_MS = 50;
/** How long the primary may take to say that no more connections come. */
const LEAVE_MS = 2_000;

type Counted = "received" | "closed" | "relayed" | "moved" | "forwardedIn";

/** A server that takes connections. */
interface Target {
  readonly server: NetServer;
  users: number;
}

export class Receiver {
  static #shared: Receiver | undefined;

  /** The receiver of this process. */
  static get(): Receiver {
    Receiver.#shared ??= new Receiver();
    return Receiver.#shared;
  }

  /** The other workers. */
  readonly neighbours = new Neighbours(
    cluster.worker?.id ?? 0,
    (name) => this.#servers.get(name),
    (what) => this.#count(what),
  );
  /** The servers that take connections, by name. */
  readonly #targets = new Map<string, Target>();
  /** Those, and the ones that have stopped taking connections but still have sessions. */
  readonly #servers = new Map<string, NetServer>();
  readonly #events = new EventEmitter<{ left: [name: string] }>();
  /** Addresses that a proxy has reported; they must go with a connection that moves on. */
  readonly #peers = new WeakMap<Socket, Peer>();
  /** Connections that must not move on: the primary cannot reach the owner that they want. */
  readonly #settled = new WeakSet<Socket>();
  #lane: Lane | undefined;
  readonly #counts: Record<Counted, number> = {
    received: 0,
    closed: 0,
    relayed: 0,
    moved: 0,
    forwardedIn: 0,
  };
  #reportTimer: NodeJS.Timeout | undefined;
  /** Names that are open or leaving: while there is one, the process listens. */
  #listening = 0;

  readonly #onMessage = (message: unknown, handle?: unknown): void => {
    const decoded = decodeToWorker(message);
    if (!decoded) return;
    if (decoded.kind === "welcome") this.#onWelcome(decoded);
    else if (decoded.kind === "left") this.#events.emit("left", decoded.name);
    else this.#onConnection(decoded, handle as Handle | undefined);
  };

  stats(): WorkerProcessStats {
    const { received, closed, relayed, moved, forwardedIn } = this.#counts;
    return { connections: received - closed, received, relayed, moved, forwardedIn };
  }

  /** Takes connections of that name for `server` from now on. */
  open(name: string, server: NetServer): void {
    const target = this.#targets.get(name);
    if (target && target.server !== server) {
      throw new HoldfastError(
        "HOLDFAST_ERR_ALREADY_SET_UP",
        `Connections of "${name}" go to another server of this worker already. Give each server its own name: ` +
          "setupWorker(io, { name }) here and setupPrimary(server, { name }) in the primary.",
      );
    }
    if (target) {
      target.users++;
      return;
    }
    trackHttpConnections(server);
    this.#targets.set(name, { server, users: 1 });
    this.#servers.set(name, server);
    this.neighbours.enter();
    if (this.#listening++ === 0) process.on("message", this.#onMessage);
    this.#send({ kind: "ready", version: PROTOCOL_VERSION, name });
  }

  /**
   * Undoes one {@link open}. With the last one, connections of that name go elsewhere: those that are on
   * their way are given back.
   */
  async close(name: string): Promise<void> {
    const target = this.#targets.get(name);
    if (!target || --target.users > 0) return;
    this.#targets.delete(name);
    if (this.neighbours.mark !== undefined && process.connected) await this.#leave(name);
    if (--this.#listening > 0) return;
    process.off("message", this.#onMessage);
  }

  /** The server is closed: its sessions are gone. Without servers nothing has to reach this worker. */
  forget(name: string, server: NetServer): void {
    if (this.#servers.get(name) !== server) return;
    this.#servers.delete(name);
    if (this.#servers.size === 0) this.neighbours.leave();
  }

  /**
   * Moves a connection to the process of the worker that owns its session.
   * @param head the bytes that were read of it
   * @returns whether it is on its way; if not, nothing has happened
   */
  move(socket: Socket, name: string, owner: number, head: string): boolean {
    if (!process.connected || this.#settled.has(socket)) return false;
    const detached = detachHandle(socket);
    if (!detached) return false;
    const { handle, buffered } = detached;
    const peer = this.#peers.get(socket);
    socket.destroy();
    this.#count("moved");
    this.#giveBack({
      handle,
      name,
      head: head + (buffered?.toString("latin1") ?? ""),
      peer,
      owner,
      attempts: 0,
    });
    return true;
  }

  /** Gives a connection back to the router, for its owner or any worker. */
  #giveBack(handover: Handover): void {
    if (!process.connected) {
      this.#keep(handover);
      return;
    }
    if (!this.#lane) {
      const lane = new Lane(
        process,
        ({ name, head, peer, owner }) => encodeToPrimary({ kind: "move", name, owner, head, peer }),
        (returned) => this.#keep(returned),
      );
      this.#lane = lane;
      process.once("disconnect", () => {
        for (const left of lane.close()) this.#keep(left);
      });
    }
    this.#lane.push(handover);
  }

  /** Takes a connection that cannot be given back. */
  #keep({ handle, name, head, peer }: Handover): void {
    if (this.#targets.has(name)) {
      this.#onConnection({ kind: "connection", name, head, settled: true, peer }, handle);
    } else {
      handle.close();
    }
  }

  async #leave(name: string): Promise<void> {
    const deadline = AbortSignal.timeout(LEAVE_MS);
    const left = once(this.#events, "left", { signal: deadline });
    this.#send({ kind: "leaving", name });
    // Without an answer the router is gone, and nothing comes either.
    await left.catch(() => debug('the primary does not say that "%s" has left', name));
  }

  #send(message: ToPrimary): void {
    if (!process.connected) return;
    process.send?.(encodeToPrimary(message), undefined, undefined, (error) => {
      if (error) debug("the primary cannot be reached: %s", error.message);
    });
  }

  #onWelcome(welcome: ToWorker & { kind: "welcome" }): void {
    if (welcome.version !== PROTOCOL_VERSION) {
      debug("the primary speaks version %d, this worker %d", welcome.version, PROTOCOL_VERSION);
      return;
    }
    this.neighbours.meet(welcome);
    // The router may have been set up after this worker.
    for (const name of this.#targets.keys()) this.#send({ kind: "ready", version: PROTOCOL_VERSION, name });
    this.#report();
  }

  #onConnection(
    { name, head, settled, peer }: ToWorker & { kind: "connection" },
    handle: Handle | undefined,
  ): void {
    const server = this.#targets.get(name)?.server;
    this.#counts.received++;
    if (!handle || !server) {
      this.#count("closed");
      // Without a handle, the client has left meanwhile; without a server, we have.
      if (handle) this.#giveBack({ handle, name, head, peer, owner: NO_OWNER, attempts: 0 });
      return;
    }
    if (peer) overridePeerName(handle, { ...peer, family: peer.address.includes(":") ? "IPv6" : "IPv4" });
    const socket = adoptHandle(handle, server);
    if (peer) this.#peers.set(socket, peer);
    if (settled) this.#settled.add(socket);
    socket.once("close", () => this.#count("closed"));
    server.emit("connection", socket);
    if (head.length > 0) socket.unshift(Buffer.from(head, "latin1"));
  }

  #count(what: Counted): void {
    this.#counts[what]++;
    this.#reportTimer ??= setTimeout(() => this.#report(), REPORT_MS).unref();
  }

  #report(): void {
    clearTimeout(this.#reportTimer);
    this.#reportTimer = undefined;
    const { closed, relayed, moved, forwardedIn } = this.#counts;
    this.#send({ kind: "report", closed, forwardedOut: relayed + moved, forwardedIn });
  }
}
