/**
 * The servers of this process that are set up, and the worker's end of the IPC channel: takes the connections that the
 * router sends.
 * Owns: listeners of the process while a server takes connections, the servers by name. Runs in: workers, and processes
 * without a cluster; one for all servers of the process.
 *
 * Longer than other files: it is the one end of the channel, and what arrives there is told apart in one place.
 */
import cluster from "node:cluster";
import { EventEmitter, once } from "node:events";
import type { Server as NetServer, Socket } from "node:net";
import { monotonicMs } from "../clock.js";
import { reportFailure } from "../diagnostics.js";
import { HoldfastError } from "../errors.js";
import type { Handle } from "../handle/node-internals.js";
import { processWide } from "../process-wide.js";
import type { WorkerProcessStats } from "../stats.js";
import { untilNone } from "../until-none.js";
import {
  decodeToWorker,
  encodeToPrimary,
  type ListenAddress,
  PROTOCOL_VERSION,
  type ToPrimary,
  type ToWorker,
  type Trouble,
} from "../wire/messages.js";
import { decodeMove, encodeMove, type MoveMessage } from "../wire/move-messages.js";
import { NO_OWNER } from "../wire/owner-mark.js";
import { Arrivals } from "./arrivals.js";
import { AwaitedStreams } from "./awaited-streams.js";
import { Claims } from "./claims.js";
import { Counts } from "./counts.js";
import { HeldRequests } from "./held-requests.js";
import { type Landing, MovesIn } from "./moves-in.js";
import { MovesOut } from "./moves-out.js";
import { type Owner, Owners } from "./owners.js";
import { untilPrimaryHasRead } from "./primary-fence.js";
import { RouterAddresses } from "./router-addresses.js";
import type { Engine } from "./session-marks.js";
import { Successors } from "./successors.js";
import { WorkerServer } from "./worker-server.js";

/** How long the primary may take to say that no more connections come. */
const LEAVE_MS = 2_000;
/** How long it may take to say whose the next connection is that came late. */
const CLAIMED_MS = 2_000;

/** A name whose connections come to this worker. */
interface Subscription {
  readonly routed: WorkerServer;
  users: number;
  // open ⇄ leaving, until the router has said that no more come
  state: "open" | "leaving";
}

/** What was said of a name, whichever server had it. */
interface Leavings {
  /** How often the router was told `leaving`. */
  told: number;
  /** How often it has answered, or never will. */
  answered: number;
}

export class Receiver {
  /** The receiver of this process. */
  static get(): Receiver {
    return processWide("receiver", () => new Receiver());
  }

  readonly held = new HeldRequests();
  readonly #awaited = new AwaitedStreams();
  readonly #successors = new Successors(cluster.worker?.id ?? 0, (worker) =>
    this.#sendRaw(encodeMove({ kind: "askHolders", worker })),
  );
  /** Of sessions that are not this worker's. */
  readonly owners = new Owners({
    isWorker: cluster.isWorker,
    workerId: cluster.worker?.id ?? 0,
    successors: this.#successors,
    serverOf: (name) => this.#servers.get(name)?.server,
    awaited: this.#awaited,
    onRelayed: () => this.#counts.add("relayed"),
    onRelayedToHost: () => {
      this.#counts.add("relayed");
      this.#counts.add("relayedToHosts");
    },
    tell: (trouble) => this.#tell(trouble),
    warn: (error) => this.#warn(error),
  });
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #leavings = new Map<string, Leavings>();
  /** The servers of those names, and the ones that have stopped taking connections but still have sessions. */
  readonly #servers = new Map<string, WorkerServer>();
  readonly #addresses = new RouterAddresses();
  /** Emits "warning", and "left " with a name behind it. */
  readonly #events = new EventEmitter().setMaxListeners(0);
  readonly #counts = new Counts((report) => {
    if (this.owners.isRouted) this.#send(report);
  });
  readonly #claims = new Claims(
    (ticketId) => this.#send({ kind: "claim", ticketId }),
    () => this.#counts.add("declined"),
  );
  /** How often a router has said that it is there. */
  #welcomes = 0;
  readonly #arrivals = new Arrivals(
    this.#counts,
    (name) => this.#open(name),
    () => this.owners.hasRouter,
  );
  readonly #movers = new Map<string, Landing>();
  readonly #movesOut = new MovesOut(this.held, {
    sessions: () =>
      [...this.#movers].flatMap(([name, { mover, isAtRest }]) =>
        [...mover.sessions(), ...this.owners.carried(name)].map((session) => ({
          session,
          name,
          isAtRest: () => isAtRest(session.id),
        })),
      ),
    peerOf: (socket) => this.#arrivals.peerOf(socket),
    push: (handover) => this.#arrivals.giveBack(handover),
    endKeepAlive: (heir) => {
      for (const [name, { routed }] of this.#movers) routed.endKeepAlive(this.#passOn(name, heir));
    },
    resumeKeepAlive: () => {
      for (const { routed } of this.#movers.values()) routed.resumeKeepAlive();
    },
    requestsDone: async (heir) => {
      this.owners.goAway();
      for (const name of this.#movers.keys()) this.owners.leaveRelays(name);
      await untilNone(() => this.#claims.size, CLAIMED_MS);
      const ends = [...this.#movers].map(([name, { routed }]) =>
        routed.connectionsDone(this.#passOn(name, heir)),
      );
      await Promise.all(ends);
      await this.#arrivals.allGivenBack();
      // Other workers go on elsewhere with what led here when they hear of it.
      await this.owners.written();
    },
    send: (message) => {
      // Who hears that it is over must not count what has left.
      const isOver = message.kind === "moveReport" && message.state === "over";
      if (isOver) this.#counts.report();
      this.#sendRaw(encodeMove(message));
      if (isOver) this.#listenNoMore();
    },
    hasRouter: () => this.owners.hasRouter,
  });
  readonly #movesIn = new MovesIn(this.#arrivals, {
    awaited: this.#awaited,
    relayOf: (way) => this.owners.relayOf(way),
    landingOf: (name) => this.#movers.get(name),
    send: (message) => this.#sendRaw(encodeMove(message)),
  });
  #departed = Promise.resolve();
  /** All servers are closed, and no router has said that it knows. */
  #isDepartureUnsaid = false;
  /** How often that has been so. */
  #departures = 0;
  /** The last of these that a router has answered. */
  #noted = 0;

  stats(): WorkerProcessStats {
    return this.#counts.stats();
  }

  /** See {@link SessionCounts.watch}. */
  watchSessions(engine: Engine): () => void {
    return this.#counts.sessions.watch(engine);
  }

  /** Calls back when something is wrong that the application should hear. Returns the function that ends it. */
  onWarning(listener: (error: HoldfastError) => void): () => void {
    this.#events.on("warning", listener);
    return () => void this.#events.off("warning", listener);
  }

  /** A request was relayed to this worker. */
  countForwardedIn(): void {
    this.#counts.add("forwardedIn");
  }

  /** Settles when other workers have the answers of sessions whose servers are closed. */
  get departed(): Promise<void> {
    return this.#departed;
  }

  /** Takes connections of that name for `server` from now on. */
  open(name: string, server: NetServer): WorkerServer {
    const previous = this.#subscriptions.get(name);
    if (previous?.state === "open") {
      if (previous.routed.server !== server) throw alreadySetUp(name);
      previous.users++;
      return previous.routed;
    }
    if (cluster.isWorker && !process.listeners("message").includes(this.#onMessage)) {
      // First: when a listener of the application throws, Node.js calls none after it.
      process.prependListener("message", this.#onMessage);
      process.prependListener("disconnect", this.#onDisconnect);
    }
    this.#isDepartureUnsaid = false;
    const routed = this.#workerServer(name, server);
    this.#subscriptions.set(name, { routed, users: 1, state: "open" });
    this.#servers.set(name, routed);
    routed.rejoin();
    if (this.#addresses.isKnown(name)) routed.onRouter(this.#addresses.get(name));
    this.owners.enter();
    this.owners.enterRelays(name);
    if (this.owners.isRouted) this.#sendReady(name);
    routed.decide();
    return routed;
  }

  /**
   * Undoes one {@link open}. With the last one, connections of that name go elsewhere: those that are on
   * their way are given back.
   * @param idleMs see {@link WorkerServer.leave}
   */
  async close(name: string, routed: WorkerServer, idleMs: number): Promise<void> {
    const subscription = this.#subscriptions.get(name);
    if (subscription?.routed !== routed || --subscription.users > 0) return;
    if (this.owners.mayBeRouted) await this.#leave(name, subscription);
    else this.#drop(name, subscription);
    const isInUse = [...this.#subscriptions.values()].some(
      (other) => other.routed === routed && other.state === "open",
    );
    if (isInUse) return;
    routed.leave(idleMs);
    // A connection that node:cluster has on its way here would be lost if this process ended before it goes elsewhere.
    if (cluster.isWorker && !this.owners.isRouted) await untilPrimaryHasRead();
  }

  /** Sessions of that name can move. Returns the function that takes it back. */
  addMover(name: string, landing: Landing): () => void {
    this.#movers.set(name, landing);
    return () => {
      if (this.#movers.get(name) === landing) this.#movers.delete(name);
    };
  }

  #passOn(name: string, worker: number): (socket: Socket) => void {
    return (socket) => void this.#arrivals.passOn(socket, name, worker);
  }

  /** The worker that a session begins at whose client has come here while this worker retires; `undefined` if here. */
  ownerOfNew(isRelayed: boolean): Owner | undefined {
    return this.#movesOut.isRetiring ? this.owners.inPlaceOfThis(isRelayed) : undefined;
  }

  /** See {@link Arrivals.move}. */
  move(socket: Socket, name: string, owner: number, head: string): boolean {
    return this.#arrivals.move(socket, name, owner, head);
  }

  #workerServer(name: string, server: NetServer): WorkerServer {
    for (const routed of this.#servers.values()) if (routed.server === server) return routed;
    const routed = new WorkerServer(server, cluster.isWorker ? () => this.#hasRouter(name) : undefined);
    routed.on("prepared", () => {
      for (const [each, subscription] of this.#subscriptions) {
        if (subscription.routed === routed && this.owners.isRouted) this.#sendReady(each);
      }
    });
    routed.on("accepted", () => this.#counts.add("accepted"));
    routed.on("ended", (isBrought) => this.#counts.add(isBrought ? "closed" : "ended"));
    routed.on("closing", () => {
      for (const [each, subscription] of this.#subscriptions) {
        if (subscription.routed === routed) void this.#leave(each, subscription);
      }
    });
    // Its sessions are gone. Without servers nothing has to reach this worker.
    routed.once("closed", () => {
      for (const [each, other] of this.#servers) if (other === routed) this.#servers.delete(each);
      if (this.#servers.size === 0) this.#depart();
    });
    return routed;
  }

  #depart(): void {
    this.#departed = this.owners.leave();
    this.#departures++;
    this.#isDepartureUnsaid = this.owners.mayBeRouted && process.connected;
    if (this.#isDepartureUnsaid) this.#sayDeparted();
    if (this.#isDepartureUnsaid && !this.owners.isRouted) void this.#endIfUnrouted();
    this.#listenNoMore();
  }

  #sayDeparted(): void {
    this.#counts.report();
    this.#send({ kind: "departed", departure: this.#departures });
  }

  /** A router would have answered before the primary tells that it has read so far. */
  async #endIfUnrouted(): Promise<void> {
    const departure = this.#departures;
    await untilPrimaryHasRead();
    if (this.owners.isRouted || this.#departures > departure) return;
    this.#isDepartureUnsaid = false;
    this.#listenNoMore();
  }

  #onNoted(departure: number): void {
    // The primary may have heard of one of them several times.
    if (departure > this.#noted) {
      this.#noted = departure;
      void this.#partLast();
    }
    // It has had a server since.
    if (this.#departures > departure) return;
    this.#isDepartureUnsaid = false;
    this.#onUnheard();
    this.#listenNoMore();
  }

  /** What comes next to the primary is for nobody. */
  #onOver(): void {
    this.owners.onOver();
    this.#onUnheard();
    this.#movesOut.onOver();
    this.#arrivals.onOver();
    for (const name of this.#leavings.keys()) if (this.#isAnswerDue(name)) void this.#hasNoRouter(name);
    this.#sayParted();
    this.#giveUpLater(this.#claims.ticketIds());
  }

  /** What came before the server was closed goes back to the primary before that. */
  async #partLast(): Promise<void> {
    await untilNone(() => this.#claims.size, CLAIMED_MS);
    await this.#arrivals.allGivenBack();
    // Connections end behind their server.
    this.#counts.report();
    this.#sayParted();
  }

  /** Behind the connection that is on its way to the primary, if there is one. */
  #sayParted(): void {
    this.#send({ kind: "parted" });
  }

  /** No router may have read the questions whose these connections are. */
  #giveUpLater(ticketIds: readonly number[]): void {
    if (ticketIds.length === 0) return;
    const welcomes = this.#welcomes;
    // A router that has taken over was asked again: what it says may be here, and not be read yet.
    const giveUp = () => {
      if (this.#welcomes === welcomes) this.#onClaimed(ticketIds, false);
    };
    setTimeout(() => setImmediate(giveUp), CLAIMED_MS).unref();
  }

  #onClaimed(ticketIds: readonly number[], isGranted: boolean): void {
    for (const ticketId of ticketIds) this.#claims.settle(ticketId, isGranted);
    this.#listenNoMore();
  }

  /** Nobody answers any more. */
  #onUnheard(): void {
    this.owners.onUnheard();
    this.#successors.close();
    this.#addresses.clear();
  }

  /** The server that takes connections of that name now. */
  #open(name: string): WorkerServer | undefined {
    const subscription = this.#subscriptions.get(name);
    return subscription?.state === "open" ? subscription.routed : undefined;
  }

  /** Settles when nothing more comes. */
  async #leave(name: string, subscription: Subscription): Promise<void> {
    if (!process.connected) return this.#drop(name, subscription);
    if (subscription.state === "open") {
      subscription.state = "leaving";
      this.#leavingsOf(name).told++;
      this.#send({ kind: "leaving", name });
    }
    if (!this.#isAnswerDue(name)) return;
    const left = once(this.#events, `left ${name}`, { signal: AbortSignal.timeout(LEAVE_MS) });
    // A router has said it before the primary tells that it has read so far.
    if (!this.owners.isHeard) void this.#hasNoRouter(name);
    // What comes later is given back all the same.
    await left.catch(() => reportFailure("channel", `the primary does not say that "${name}" has left`));
  }

  #leavingsOf(name: string): Leavings {
    const leavings = this.#leavings.get(name) ?? { told: 0, answered: 0 };
    this.#leavings.set(name, leavings);
    return leavings;
  }

  #isAnswerDue(name: string): boolean {
    const { told, answered } = this.#leavingsOf(name);
    return told > answered;
  }

  async #hasNoRouter(name: string): Promise<void> {
    do {
      const { told } = this.#leavingsOf(name);
      await untilPrimaryHasRead();
      this.#onLeft(name, told);
      // What a router has said meanwhile was counted for this one, and may have been for one that was told after it.
    } while (this.#isAnswerDue(name));
  }

  #onAddress(name: string, address: ListenAddress | undefined): void {
    this.#addresses.set(name, address);
    this.#subscriptions.get(name)?.routed.onRouter(address);
  }

  /** @param told how often it was, of those that have an answer by now; if not given, one has come */
  #onLeft(name: string, told?: number): void {
    const leavings = this.#leavingsOf(name);
    leavings.answered = Math.max(leavings.answered, told ?? leavings.answered + 1);
    if (this.#isAnswerDue(name)) return;
    const subscription = this.#subscriptions.get(name);
    if (subscription?.state === "leaving") this.#drop(name, subscription);
    this.#events.emit(`left ${name}`);
  }

  #drop(name: string, subscription: Subscription): void {
    if (this.#subscriptions.get(name) === subscription) this.#subscriptions.delete(name);
    this.#listenNoMore();
  }

  /** Unless something can come yet: also sessions that get no new connections have to be found. */
  #listenNoMore(): void {
    if (this.#subscriptions.size > 0 || this.#claims.size > 0 || this.#servers.size > 0) return;
    if (this.#isDepartureUnsaid || this.#movesOut.isBusy) return;
    process.off("message", this.#onMessage);
    process.off("disconnect", this.#onDisconnect);
    // That the last router is closed would not be heard.
    this.owners.onOver();
    this.#onUnheard();
  }

  /** Whether the primary has a router of that name now. If it has none at all, the workers find each other. */
  async #hasRouter(name: string): Promise<boolean> {
    // A router that answers has this worker in its books before the application hears that it listens.
    const hasRouter = await this.#addresses.has(name, () => this.#sendReady(name));
    if (!this.owners.isRouted) await this.owners.gather();
    return hasRouter;
  }

  #send(message: ToPrimary): void {
    this.#sendRaw(encodeToPrimary(message));
  }

  #sendRaw(message: object): void {
    if (!process.connected) return;
    process.send?.(message, undefined, undefined, (error) => {
      if (error) reportFailure("channel", "the primary cannot be reached", { error });
    });
  }

  #tell(trouble: Trouble): boolean {
    if (!this.owners.isHeard) return false;
    this.#send({ kind: "trouble", ...trouble });
    return true;
  }

  /** Nobody listens for warnings: Node.js prints it. */
  #warn(error: HoldfastError): void {
    if (!this.#events.emit("warning", error)) process.emitWarning(error);
  }

  /** Where connections go depends on what each worker has, and they come as soon as the primary hears that it is ready. */
  #sendReady(...names: string[]): void {
    this.#counts.report();
    for (const name of names) this.#sayReady(name);
  }

  /** A server that does not leave its place to the router yet asks again for one. */
  #sayReady(name: string): void {
    const routed = this.#open(name);
    if (!routed) return;
    if (routed.isPrepared()) this.#send({ kind: "ready", version: PROTOCOL_VERSION, name });
    else this.#send({ kind: "lookUp", name });
  }

  readonly #onMessage = (message: unknown, handle?: unknown): void => {
    const decoded = decodeToWorker(message);
    switch (decoded?.kind) {
      case "welcome":
        this.#onWelcome(decoded);
        return;
      case "connection":
        this.#onArrival(decoded, handle as Handle | undefined);
        return;
      case "claimed":
        return this.#onClaimed([decoded.ticketId], decoded.isGranted);
      case "left":
        this.#onLeft(decoded.name);
        return;
      case "over":
        return this.#onOver();
      case "noted":
        return this.#onNoted(decoded.departure);
      case "hosts":
        this.owners.meetHosts(decoded);
        return;
      case "address":
        this.#onAddress(decoded.name, decoded.address);
        return;
      case "unrouted":
        return this.#addresses.delete(decoded.name);
      default:
        this.#onMoveMessage(decodeMove(message), handle as Handle | undefined);
    }
  };

  #onMoveMessage(message: MoveMessage | undefined, handle: Handle | undefined): void {
    switch (message?.kind) {
      case "moveSessions":
        if (message.heir !== NO_OWNER) this.#successors.onGiving(this.owners.workerId, message.heir);
        return this.#movesOut.start(message);
      case "letGo":
        return this.#movesOut.onLetGo(message.task);
      case "giving":
        this.#successors.onGiving(message.giver, message.heir);
        return this.#sendRaw(encodeMove({ kind: "heardOf", giver: message.giver }));
      case "given":
        this.#successors.onGiven(message.giver, message.heir);
        return this.#sendRaw(encodeMove({ kind: "heardOf", giver: message.giver }));
      case "holders":
        return this.#successors.onHolders(message.worker, message.lives, message.holders);
      case "stopMoves":
        return this.#movesOut.stop(message.task);
      case "nextPart":
        return this.#movesOut.onNextPart(message.move);
      case "moveSettled":
        for (const { move, isUp } of message.ends) this.#movesOut.onSettled(move, isUp);
        return;
      case "moveState":
        return this.#movesIn.onState(message.move, message.part);
      case "moveCancelled":
        return this.#movesIn.onCancelled(message.move);
      case "moveConnection":
        void this.#movesIn.onConnection(message, handle);
    }
  }

  /** The router sends nothing more. Sessions stay reachable through the other workers. */
  readonly #onDisconnect = (): void => {
    this.#claims.giveUp();
    this.#movesOut.close();
    this.#successors.close();
    this.#isDepartureUnsaid = false;
    this.#listenNoMore();
    for (const [name, subscription] of this.#subscriptions) {
      if (!this.owners.isRouted) break;
      subscription.routed.leave();
      if (subscription.state === "leaving") this.#drop(name, subscription);
      this.#events.emit(`left ${name}`);
    }
  };

  #onWelcome(welcome: ToWorker & { kind: "welcome" }): void {
    if (welcome.version !== PROTOCOL_VERSION) {
      reportFailure(
        "channel",
        `the primary speaks version ${welcome.version}, this worker ${PROTOCOL_VERSION}`,
      );
      this.owners.giveUp();
    } else {
      this.owners.meet(welcome);
      this.#welcomes++;
    }
    if (this.#isDepartureUnsaid) this.#sayDeparted();
    // Nobody may have read that before.
    for (const ticketId of this.#claims.ticketIds()) this.#send({ kind: "claim", ticketId });
    // The router may have been set up after this worker, or anew. One that is retiring, say, is not ready for any name.
    this.#sendReady(...this.#subscriptions.keys());
  }

  #onArrival(message: ToWorker & { kind: "connection" }, handle: Handle | undefined): void {
    const { ticket } = message;
    const isLate = ticket !== undefined && monotonicMs() > ticket.claimAfter;
    if (!isLate || !handle) return this.#onConnection(message, handle);
    this.#claims.add(ticket.id, handle, () => this.#onConnection(message, handle));
    if (!this.owners.hasRouter) this.#giveUpLater([ticket.id]);
  }

  #onConnection(message: ToWorker & { kind: "connection" }, handle: Handle | undefined): void {
    const { name, head, peer } = message;
    const routed = this.#open(name);
    this.#counts.add("received");
    if (handle && routed) return this.#arrivals.accept(routed, handle, message);
    this.#counts.add("closed");
    // Without a handle, the client has left meanwhile; otherwise this worker has.
    if (handle) this.#arrivals.giveBack({ handle, name, head, peer, owner: NO_OWNER });
  }
}

function alreadySetUp(name: string): HoldfastError {
  return new HoldfastError(
    "HOLDFAST_ERR_ALREADY_SET_UP",
    `Connections of "${name}" go to another server of this worker already. Give each server its own name: ` +
      "setupWorker(io, { name }) here and setupPrimary(server, { name }) in the primary.",
  );
}
