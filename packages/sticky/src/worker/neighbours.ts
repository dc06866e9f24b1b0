/**
 * The other workers, as this one reaches them and they reach it: those of the router's cluster, or, where there is no
 * router, those of the application.
 * Owns: this worker's place at the rendezvous, the relay to the others, their tag. Runs in: workers.
 */
import type { Socket } from "node:net";
import { HoldfastError } from "../errors.js";
import type { Application } from "../rendezvous/application.js";
import type { ClusterSecrets } from "../wire/cluster-secrets.js";
import type { Trouble } from "../wire/messages.js";
import { decodeMark, encodeMark, NO_OWNER, tagOf } from "../wire/owner-mark.js";
import { ApplicationRendezvous } from "./application-rendezvous.js";
import type { AwaitedStreams } from "./awaited-streams.js";
import type { Door } from "./owner-link.js";
import { PrivateServer, type ServerOf } from "./private-server.js";
import { Relay } from "./relay.js";
import { Rendezvous } from "./rendezvous.js";

/** The primary, before it may end and another process takes its children. */
const PRIMARY_PID = process.ppid;

export interface NeighboursHost {
  readonly workerId: number;
  /** The server of this worker that has that name. */
  readonly serverOf: ServerOf;
  readonly awaited: AwaitedStreams;
  /** Called for each request that this worker has relayed. */
  onRelayed(): void;
  /** Whether a worker lives, or may; `undefined` if there is nobody who could know. Never rejects. */
  lives(worker: number): Promise<boolean | undefined>;
  /** Tells the primary's router. @returns `false` if there is none */
  tell(trouble: Trouble): boolean;
  /** Tells the application. */
  warn(error: HoldfastError): void;
}

export class Neighbours {
  readonly relay: Relay;
  readonly #host: NeighboursHost;
  readonly #way: string | undefined;
  /** What they have in common. */
  #common: Pick<ClusterSecrets, "tag" | "secret"> | undefined;
  /** Where they are: kept by a primary, or by themselves. */
  #rendezvous: Rendezvous | ApplicationRendezvous | undefined;
  #server: PrivateServer | undefined;
  // outside → inside → outside: whether others can reach this worker
  #state: "outside" | "inside" = "outside";
  readonly #warned = new Set<string>();

  /** @param way by which other workers of the router find them; see `RelayPlace` */
  constructor(host: NeighboursHost, way: string | undefined) {
    this.#host = host;
    this.#way = way;
    this.relay = new Relay(
      {
        door: (owner) => this.#door(owner),
        mayLive: (owner) => this.#mayLive(owner),
        onTrouble: (error) => this.#rendezvous?.onTrouble(error),
      },
      () => host.onRelayed(),
      { way },
    );
  }

  /** This worker's mark in session ids; `undefined` until it has met the others. */
  get mark(): string | undefined {
    const { number } = this;
    return this.#common && number !== undefined ? encodeMark(this.#common.tag, number) : undefined;
  }

  /** The primary's router has said what the workers have in common, or that it has changed. */
  meet(cluster: ClusterSecrets): void {
    if (this.#common && this.#common.tag !== cluster.tag) return;
    const isFirst = this.#common === undefined;
    this.#common = cluster;
    const former = this.#rendezvous;
    if (former instanceof Rendezvous) {
      if (former.directory === cluster.directory) return former.confirm(cluster.edition);
      former.abandon();
    }
    const host = {
      accept: (socket: Socket) => this.#server?.accept(socket),
      tell: (trouble: Trouble) => this.#tell(trouble),
      ownerPid: () => (process.ppid === PRIMARY_PID ? PRIMARY_PID : undefined),
    };
    this.#rendezvous = new Rendezvous(cluster, this.#host.workerId, host, !isFirst);
    if (isFirst || this.#state === "inside") void this.enter();
  }

  /** There is no router: the workers of the application find each other. Settles when this one can be found. */
  async gather(application: Application): Promise<void> {
    this.#common = application;
    this.#rendezvous = new ApplicationRendezvous(application.directoryName, {
      accept: (socket) => this.#server?.accept(socket),
      warn: (error) => this.#host.warn(error),
    });
    await this.enter();
  }

  /** Lets others reach this worker, once it has met them. */
  async enter(): Promise<void> {
    if (!this.#common || !this.#rendezvous) return;
    this.#state = "inside";
    // Who is known by a number that the router does not know cannot be named to anybody.
    const awaited = this.#way === undefined ? undefined : this.#host.awaited;
    const identity = { secret: this.#common.secret, numberOf: () => this.number };
    this.#server ??= new PrivateServer(identity, this.#host.serverOf, awaited, (error) =>
      this.#rendezvous?.onTrouble(error),
    );
    await this.#rendezvous.enter();
  }

  /** The number of the worker that a session id names; {@link NO_OWNER} if none of these is named. */
  markedBy(sessionId: string): number {
    return this.#common ? decodeMark(this.#common.tag, sessionId) : NO_OWNER;
  }

  /** Whether the session id is one of this cluster. */
  isMarked(sessionId: string): boolean {
    return this.#common !== undefined && tagOf(sessionId) === this.#common.tag;
  }

  /** See {@link PrivateServer.written}. */
  async written(): Promise<void> {
    await this.#server?.written();
  }

  /** This worker's sessions are another one's now: those that reach it here ask anew. */
  goAway(): void {
    this.#server?.goAway();
  }

  /**
   * Others find this worker no more, and it reaches no others. What is on its way is finished.
   * Settles when the others have the answers that were in progress here.
   * @param isKnown others hear of it; otherwise, they are refused here
   */
  async leave(isKnown: boolean): Promise<void> {
    this.#state = "outside";
    if (isKnown) this.#rendezvous?.leave();
    this.relay.close();
    await this.#server?.answered();
  }

  /** The number of this worker, as session ids have it. */
  get number(): number | undefined {
    const rendezvous = this.#rendezvous;
    return rendezvous instanceof ApplicationRendezvous ? rendezvous.number : this.#host.workerId;
  }

  #door(owner: number): Door | undefined {
    if (!this.#common || !this.#rendezvous) return undefined;
    return { number: owner, path: this.#rendezvous.pathOf(owner), secret: this.#common.secret };
  }

  async #mayLive(owner: number): Promise<boolean> {
    // This one's socket may be gone as well.
    const isDisturbed = this.#rendezvous?.isDisturbed() === true;
    return (await this.#host.lives(owner)) ?? isDisturbed;
  }

  /** Where the primary is gone, the application hears of it here, once. */
  #tell(trouble: Trouble): void {
    if (this.#host.tell(trouble) || this.#warned.has(trouble.what)) return;
    this.#warned.add(trouble.what);
    const code = trouble.what === "denied" ? "HOLDFAST_ERR_WORKER_USER" : "HOLDFAST_ERR_PRIVATE_SOCKET";
    const text = `Requests that reach another worker than the one of their session may fail: ${trouble.text}.`;
    this.#host.warn(new HoldfastError(code, text));
  }
}
