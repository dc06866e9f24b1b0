/**
 * The owners of sessions: which worker a session id names, and the way there.
 * Owns: the neighbours of this worker, and the other hosts. Runs in: workers, one for all servers of the process.
 *
 * A router says who the workers are. Where there is none, they find each other as processes of one application. When a
 * router is set up after that, sessions of both kinds live side by side.
 */
import type { MovableSession } from "../moves.js";
import { ownApplication } from "../rendezvous/application.js";
import type { ClusterSecrets } from "../wire/cluster-secrets.js";
import type { KnownHosts } from "../wire/messages.js";
import { NO_OWNER } from "../wire/owner-mark.js";
import { Neighbours, type NeighboursHost } from "./neighbours.js";
import { OtherHosts } from "./other-hosts.js";
import type { Relay } from "./relay.js";
import type { Successors } from "./successors.js";

/** Another worker, which owns a session. */
export interface Owner {
  readonly number: number;
  /** The number in the session's id. */
  readonly marked: number;
  readonly relay: Relay;
  /** The router knows it. */
  readonly isRouted: boolean;
  /** Connections can go there; otherwise what they carry is relayed. */
  readonly getsConnections: boolean;
}

export interface OwnersHost extends Omit<NeighboursHost, "lives"> {
  /** This process is a worker of a cluster; otherwise it owns all of its sessions. */
  readonly isWorker: boolean;
  /** Called for each request that this worker has relayed to another host. */
  onRelayedToHost(): void;
  /** Among the workers of a router. */
  readonly successors: Successors;
}

/** Of the parent that has started this process, before it may end and another process takes its children. */
const application = ownApplication();

const NONE: ReadonlySet<number> = new Set();

/** The way to the workers of the router. Those to other hosts are their tags, which are never empty. */
const ROUTED = "";

export class Owners {
  readonly #host: OwnersHost;
  readonly #routed: Neighbours;
  readonly #own: Neighbours;
  readonly #otherHosts: OtherHosts;
  /** Settles when it is known how this worker's sessions are marked. */
  readonly #marked: Promise<void>;
  #onMarked: () => void = () => {};
  /** A router hears what this worker says, and answers. */
  #isHeard = false;
  /** There is a router, also if it takes this worker for one that has departed. */
  #hasRouter = false;
  // unknown → gathering → gathered → routed; unknown, gathering → routed
  #state: "unknown" | "gathering" | "gathered" | "routed" = "unknown";

  constructor(host: OwnersHost) {
    this.#host = host;
    const lives = async (worker: number) => {
      const answer = this.isHeard ? await host.successors.lives(worker) : undefined;
      // A primary that does not answer may know that it does.
      return answer ?? (this.isHeard || undefined);
    };
    this.#routed = new Neighbours({ ...host, lives }, ROUTED);
    // Without a router, no worker gives another one its connections, and nobody knows who lives.
    this.#own = new Neighbours({ ...host, lives: async () => undefined }, undefined);
    this.#otherHosts = new OtherHosts({
      onRelayed: () => host.onRelayedToHost(),
      onTrouble: ({ message }) =>
        host.tell({ what: "unreachable", edition: 0, uid: -1, code: "", text: message }),
    });
    this.#marked = new Promise((resolve) => {
      this.#onMarked = resolve;
    });
  }

  /** Whether a router knows this worker. */
  get isRouted(): boolean {
    return this.#state === "routed";
  }

  /** Whether there is a router that hears this worker now. */
  get isHeard(): boolean {
    return this.#isHeard && process.connected;
  }

  /** Whether there is a router that takes connections back. */
  get hasRouter(): boolean {
    return this.#hasRouter && process.connected;
  }

  /** Whether a router knows this worker, or it has not been found out yet that there is none. */
  get mayBeRouted(): boolean {
    return this.#state === "routed" || (this.#state === "unknown" && this.#host.isWorker);
  }

  /** This worker's mark in session ids, as soon as it is known; `undefined` if it has none. */
  mark(): string | undefined | Promise<string | undefined> {
    if (!this.#host.isWorker) return undefined;
    if (this.#state === "routed") return this.#routed.mark;
    if (this.#state === "gathered") return this.#own.mark;
    return this.#marked.then(() => this.mark());
  }

  /**
   * The worker to ask for a session that is not here; `undefined` if there is none.
   * @param isRelayed another worker has asked: it goes on only to where this worker's sessions went
   */
  elsewhere(sessionId: string, isRelayed: boolean): Owner | undefined {
    const marked = this.#routed.markedBy(sessionId);
    if (marked !== NO_OWNER) return this.#nextOwner(marked, isRelayed);
    if (isRelayed) return undefined;
    const own = this.#own.markedBy(sessionId);
    if (own === NO_OWNER) return this.#otherHosts.ownerOf(sessionId);
    if (own === this.#own.number) return undefined;
    return { number: own, marked: own, relay: this.#own.relay, isRouted: false, getsConnections: false };
  }

  /**
   * The worker that gets new sessions in place of this one; `undefined` if there is none.
   * @param isRelayed another worker has sent the client's request here
   */
  inPlaceOfThis(isRelayed: boolean): Owner | undefined {
    return this.#nextOwner(this.#host.workerId, isRelayed);
  }

  /** The first to ask for what is of this mark. */
  #nextOwner(marked: number, isRelayed: boolean): Owner | undefined {
    return this.#routedOwner(marked, this.#host.successors.next({ marked, isRelayed, tried: NONE }));
  }

  /** Settles when it is known who owns the session; `undefined` if it is, as far as it will be. */
  untilKnown(sessionId: string): Promise<void> | undefined {
    if (this.#routed.isMarked(sessionId) || this.#own.isMarked(sessionId)) return undefined;
    return this.#otherHosts.untilKnown(sessionId);
  }

  /** A router tells who the other hosts are. */
  meetHosts(hosts: KnownHosts): void {
    this.#otherHosts.meet(hosts);
  }

  /** This worker, among those of a router. */
  get workerId(): number {
    return this.#host.workerId;
  }

  /**
   * The worker to ask after one that is gone; `undefined` if there is none.
   * @param tried all that could not be reached
   */
  async after(
    { marked, isRouted }: Owner,
    isRelayed: boolean,
    tried: ReadonlySet<number>,
  ): Promise<Owner | undefined> {
    if (!isRouted) return undefined;
    const { successors } = this.#host;
    const search = { marked, isRelayed, tried };
    return this.#routedOwner(marked, this.isHeard ? await successors.after(search) : successors.next(search));
  }

  #routedOwner(marked: number, number: number): Owner | undefined {
    if (number === NO_OWNER) return undefined;
    const getsConnections = this.#host.successors.getsConnections(marked, number);
    return { number, marked, relay: this.#routed.relay, isRouted: true, getsConnections };
  }

  /** A router tells what its workers have in common. */
  meet(cluster: ClusterSecrets): void {
    this.#isHeard = true;
    this.#hasRouter = true;
    this.#routed.meet(cluster);
    this.#become("routed");
  }

  /** Nobody answers any more. The workers stay what they are to each other. */
  onUnheard(): void {
    this.#isHeard = false;
  }

  /** The last router is closed. */
  onOver(): void {
    this.#hasRouter = false;
  }

  /** There is a router that speaks another version. */
  giveUp(): void {
    this.#become("routed");
  }

  /** The primary has no router: finds the other workers of the application, unless that was done. */
  async gather(): Promise<void> {
    if (this.#state !== "unknown") return;
    this.#state = "gathering";
    await this.#own.gather(application);
    if (this.#state === "gathering") this.#become("gathered");
  }

  /** Lets others reach this worker, where it has met them. */
  enter(): void {
    void this.#routed.enter();
    void this.#own.enter();
  }

  /** All sessions of this worker are another one's, and its router says so to whoever asks. */
  goAway(): void {
    this.#routed.goAway();
  }

  /** See {@link Neighbours.written}. */
  async written(): Promise<void> {
    await Promise.all([this.#routed.written(), this.#own.written()]);
  }

  /** See {@link Neighbours.leave}. */
  async leave(): Promise<void> {
    this.#otherHosts.leave();
    // Whoever can tell no router that it has left says so to those that come.
    await Promise.all([this.#routed.leave(process.connected), this.#own.leave(true)]);
  }

  /** Of a connection that another worker of the router has relayed; `undefined` if this one cannot. */
  relayOf(way: string): Relay | undefined {
    return way === ROUTED ? this.#routed.relay : this.#otherHosts.relayOf(way);
  }

  /** See {@link Relay.carried}. */
  carried(name: string): MovableSession[] {
    return this.#relays().flatMap((relay) => relay.carried(name));
  }

  /** See {@link Relay.enter}. */
  enterRelays(name: string): void {
    for (const relay of this.#relays()) relay.enter(name);
  }

  /** See {@link Relay.leave}. */
  leaveRelays(name: string): void {
    for (const relay of this.#relays()) relay.leave(name);
  }

  #relays(): Relay[] {
    return [this.#routed.relay, this.#own.relay, ...this.#otherHosts.relays()];
  }

  #become(state: "gathered" | "routed"): void {
    this.#state = state;
    this.#onMarked();
  }
}
