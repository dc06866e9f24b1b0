/**
 * The other workers of the cluster, as this one reaches them and they reach it.
 * Owns: this worker's place at the rendezvous, the relay to the others, the cluster's tag. Runs in: workers.
 */
import type { Socket } from "node:net";
import { HoldfastError } from "../errors.js";
import type { ClusterSecrets } from "../wire/cluster-secrets.js";
import type { Trouble } from "../wire/messages.js";
import { decodeMark, encodeMark, NO_OWNER } from "../wire/owner-mark.js";
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
  /** Called for each request that this worker has relayed. */
  onRelayed(): void;
  /** Tells the primary. @returns `false` if there is none */
  tell(trouble: Trouble): boolean;
}

export class Neighbours {
  readonly relay: Relay;
  readonly #host: NeighboursHost;
  #cluster: ClusterSecrets | undefined;
  #mark: string | undefined;
  #rendezvous: Rendezvous | undefined;
  #server: PrivateServer | undefined;
  // outside → inside → outside: whether others can reach this worker
  #state: "outside" | "inside" = "outside";
  readonly #warned = new Set<string>();

  constructor(host: NeighboursHost) {
    this.#host = host;
    this.relay = new Relay(
      {
        door: (owner) => this.#door(owner),
        isDisturbed: () => this.#rendezvous?.isDisturbed() === true,
        onTrouble: (error) => this.#rendezvous?.onTrouble(error),
      },
      () => host.onRelayed(),
    );
  }

  /** This worker's mark in session ids; `undefined` until it has met the cluster. */
  get mark(): string | undefined {
    return this.#mark;
  }

  /** The primary has said what the cluster has in common, or that it has changed. */
  meet(cluster: ClusterSecrets): void {
    if (this.#cluster && this.#cluster.tag !== cluster.tag) return;
    const isFirst = this.#cluster === undefined;
    this.#cluster = cluster;
    this.#mark ??= encodeMark(cluster.tag, this.#host.workerId);
    if (this.#rendezvous?.directory === cluster.directory) return this.#rendezvous.confirm();
    this.#rendezvous?.leave();
    const host = {
      accept: (socket: Socket) => this.#server?.accept(socket),
      tell: (trouble: Trouble) => this.#tell(trouble),
      ownerPid: () => (process.ppid === PRIMARY_PID ? PRIMARY_PID : undefined),
    };
    this.#rendezvous = new Rendezvous(cluster.directory, this.#host.workerId, host, !isFirst);
    if (isFirst || this.#state === "inside") this.enter();
  }

  /** Lets others reach this worker, once it has met the cluster. */
  enter(): void {
    if (!this.#cluster || !this.#rendezvous) return;
    this.#state = "inside";
    this.#server ??= new PrivateServer(this.#cluster.secret, this.#host.serverOf, (error) =>
      this.#rendezvous?.onTrouble(error),
    );
    this.#rendezvous.enter();
  }

  /** The worker that owns a session; {@link NO_OWNER} if none does or it is this one. */
  ownerElsewhere(sessionId: string): number {
    if (!this.#cluster) return NO_OWNER;
    const owner = decodeMark(this.#cluster.tag, sessionId);
    return owner === this.#host.workerId ? NO_OWNER : owner;
  }

  /**
   * Others find this worker no more, and it reaches no others. What is on its way is finished.
   * Settles when the others have the answers that were in progress here.
   */
  async leave(): Promise<void> {
    this.#state = "outside";
    this.#rendezvous?.leave();
    this.relay.close();
    await this.#server?.answered();
  }

  #door(owner: number): Door | undefined {
    if (!this.#cluster || !this.#rendezvous) return undefined;
    return { path: this.#rendezvous.pathOf(owner), secret: this.#cluster.secret };
  }

  /** Where no primary listens, Node.js prints it, once. */
  #tell(trouble: Trouble): void {
    if (this.#host.tell(trouble) || this.#warned.has(trouble.what)) return;
    this.#warned.add(trouble.what);
    const code = trouble.what === "denied" ? "HOLDFAST_ERR_WORKER_USER" : "HOLDFAST_ERR_PRIVATE_SOCKET";
    const text = `Requests that reach another worker than the one of their session may fail: ${trouble.text}.`;
    process.emitWarning(new HoldfastError(code, text));
  }
}
