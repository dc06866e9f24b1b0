/**
 * The workers that take connections.
 * Owns: one routed worker per ready worker with its lane, slot and counts; the listeners on `cluster`.
 * Runs in: primary, one for all routers of the process.
 *
 * Longer than other files: channel, lanes and servers of a worker come and go in orders that have to fit together.
 */
import cluster, { type Worker } from "node:cluster";
import { EventEmitter } from "node:events";
import { channels, reportFailure } from "../diagnostics.js";
import { HoldfastError } from "../errors.js";
import type { Handover, Placer } from "../handle/handover.js";
import type { Handle } from "../handle/node-internals.js";
import { processWide } from "../process-wide.js";
import type { SlotStats } from "../stats.js";
import { untilNone } from "../until-none.js";
import {
  decodeToPrimary,
  encodeToWorker,
  type KnownHosts,
  type ListenAddress,
  PROTOCOL_VERSION,
  type ToPrimary,
  type ToWorker,
} from "../wire/messages.js";
import { decodeMove, encodeMove } from "../wire/move-messages.js";
import { allWorkers } from "./all-workers.js";
import { Arrival } from "./arrival.js";
import { CHANNEL_DRAIN_MS, whenChannelEnds } from "./channel-end.js";
import { ListenAnswers } from "./listen-answers.js";
import { LivingWorkers } from "./living-workers.js";
import { surviveLostWrites } from "./lost-writes.js";
import { Partings } from "./partings.js";
import { type Mended, RendezvousKeeper } from "./rendezvous-keeper.js";
import { RoutedWorker } from "./routed-worker.js";
import { RouterNames } from "./router-names.js";
import { SessionMoves } from "./session-moves.js";
import { SlotCounts } from "./slot-counts.js";
import { fillSlot, freeSlot, isSlot } from "./slots.js";

/** How long sessions may be on their way, without any that gets there, after the last router is closed. */
const ENDING_MS = 5_000;
/** How long workers may take until they know that, and have their connections. */
const PARTING_MS = 1_000;
/** How long a worker may take from `listen()` to `setupWorker()`. */
const SET_UP_MS = 5_000;

export interface RosterEvents {
  /** A worker's server of that name takes connections. */
  ready: [routed: RoutedWorker, name: string];
  /** A worker's server of that name takes no connections any more. */
  gone: [routed: RoutedWorker, name: string];
  /** A worker that took nothing for a while takes connections again. */
  resumed: [routed: RoutedWorker];
  /** There is another number of workers that live or that are ready. */
  changed: [];
  /** Something is wrong that the application should hear. */
  trouble: [warning: HoldfastError];
  /** A worker cannot reach another host. */
  unreachable: [text: string];
}

const slot = processWide("roster", () => ({ roster: undefined as Roster | undefined, users: 0 }));

export class Roster extends EventEmitter<RosterEvents> {
  /** The roster of this process; made for its first user. Give it back with {@link release}. */
  static acquire(): Roster {
    // One that everybody has given back may still wait for what is on its way.
    if (slot.users === 0) slot.roster?.resume();
    slot.roster ??= new Roster();
    slot.users++;
    return slot.roster;
  }

  readonly #keeper = RendezvousKeeper.get();
  readonly #workers = new Map<number, RoutedWorker>();
  readonly #welcomed = new Set<number>();
  /** Those that have been welcomed since they spoke: an earlier welcome may have found nobody who listens. */
  readonly #answered = new Set<number>();
  readonly #partings = Partings.get();
  readonly #living = LivingWorkers.get();
  readonly #candidates = new Map<string, RoutedWorker[]>();
  readonly #names = new RouterNames((handover, refusedBy) => this.#placeOrphan(handover, refusedBy));
  /** What workers are told of other hosts. */
  #hosts: (ToWorker & { kind: "hosts" }) | undefined;
  readonly #slotCounts = SlotCounts.get();
  /** Whoever starts the workers has numbers of its own. */
  #slotOf: ((workerId: number) => number | undefined) | undefined;
  readonly moves = new SessionMoves({
    find: (workerId) => this.#workers.get(workerId),
    lives: (workerId) => this.#living.has(workerId),
    workers: () => this.ready,
    send: (workerId, message, sent) => this.#sendRaw(workerId, encodeMove(message), sent),
    onStopped: (workerId) => this.setRetiring(workerId, false),
  });
  /** Stop the waiting for the ends of channels, of workers whose processes are gone. */
  readonly #ends = new Set<() => void>();
  /** For workers that are expected. */
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #releases: (() => void)[] = [];
  readonly #listenAnswers = new ListenAnswers(
    (place) => this.#names.addressAt(place),
    (worker) => this.#expect(worker),
  );

  /** Settles when it has ended, after its last user has given it back. */
  #ended: Promise<void> | undefined;
  // open → ending → parting → closed; ending, parting → open (there is a router again)
  #state: "open" | "ending" | "parting" | "closed" = "open";

  private constructor() {
    super();
    this.setMaxListeners(0);
    this.#own(() => this.#listenAnswers.close());
    this.#own(surviveLostWrites());
    const onMessage = (worker: Worker, message: unknown, handle: unknown) => {
      const decoded = decodeToPrimary(message);
      if (decoded) return this.#onMessage(worker, decoded, handle as Handle | undefined);
      const moving = decodeMove(message);
      if (moving) this.moves.onMessage(worker.id, moving, handle as Handle | undefined);
    };
    const onDisconnect = (worker: Worker) => {
      this.#remove(worker);
      this.emit("changed");
    };
    const onProcessExit = (worker: Worker) => {
      this.#keeper.forget(worker.id);
      this.#living.remove(worker.id);
      this.#workers.get(worker.id)?.onExit();
      this.emit("changed");
      const stop = whenChannelEnds(worker, CHANNEL_DRAIN_MS, () => {
        this.#ends.delete(stop);
        this.#remove(worker);
      });
      this.#ends.add(stop);
    };
    this.#own(() => {
      for (const timer of this.#timers) clearTimeout(timer);
      for (const stop of this.#ends) stop();
    });
    this.#slotCounts.keepOnly((workerId) => cluster.workers?.[workerId]?.isDead() === false);
    // First: when a listener of the application throws, Node.js calls none after it.
    cluster.prependListener("message", onMessage);
    cluster.prependListener("disconnect", onDisconnect);
    cluster.prependListener("exit", onProcessExit);
    this.#own(() => void cluster.off("message", onMessage));
    this.#own(() => void cluster.off("disconnect", onDisconnect));
    this.#own(() => void cluster.off("exit", onProcessExit));
    this.#partings.leaveToRoster();
    for (const worker of allWorkers()) this.#welcome(worker);
  }

  /** The cluster's tag in session ids. */
  get tag(): string {
    return this.#keeper.secrets.tag;
  }

  /** Gives the roster back. Its last user ends it, and waits for what is on its way, for some seconds at most. */
  async release(): Promise<void> {
    if (--slot.users > 0) return;
    this.#state = "ending";
    this.moves.stop();
    this.#ended ??= this.#end();
    await this.#ended;
  }

  /** There is a router again. */
  resume(): void {
    this.#state = "open";
    this.#slotOf = undefined;
    this.#hosts = undefined;
    // Whoever is welcomed says again what it has, and the router hears it.
    for (const routed of this.#workers.values()) routed.takeOver();
    this.#candidates.clear();
    this.#answered.clear();
    for (const worker of allWorkers()) this.#welcome(worker);
  }

  /** Until it is closed, or there is a router again. */
  async #end(): Promise<void> {
    while (this.#is("ending")) {
      await untilNone(() => (this.#is("ending") ? this.moves.underway : 0), ENDING_MS);
      if (!this.#is("ending")) break;
      this.#part();
      await untilNone(() => (this.#is("parting") ? this.#partings.size + this.#untaken : 0), PARTING_MS);
      if (this.#is("parting")) this.#close();
    }
    this.#ended = undefined;
  }

  #is(state: "ending" | "parting"): boolean {
    return this.#state === state;
  }

  /** Connections on their way to workers. */
  get #untaken(): number {
    return [...this.#workers.values()].reduce((sum, { untaken }) => sum + untaken, 0);
  }

  /** Nobody answers the workers any more. Those that know of routers say that they know: they give nothing back then. */
  #part(): void {
    this.#state = "parting";
    for (const worker of this.#reached) {
      if (this.#living.has(worker.id) && worker.isConnected()) this.#partings.add(worker.id);
      this.#send(worker, { kind: "over" });
    }
  }

  #close(): void {
    this.#state = "closed";
    slot.roster = undefined;
    // Before the lanes: it ends connections that are in these, and a worker that stands still may have copies.
    this.moves.close();
    for (const routed of this.#workers.values()) for (const { handle } of routed.close()) handle.close();
    for (const release of this.#releases.splice(0)) release();
    this.#partings.closeRest();
  }

  /** The workers that take connections of that name, ordered by id. */
  candidates(name: string): readonly RoutedWorker[] {
    let candidates = this.#candidates.get(name);
    if (!candidates) {
      candidates = [...this.#workers.values()].filter((routed) => routed.names.has(name));
      candidates.sort((a, b) => a.workerId - b.workerId);
      this.#candidates.set(name, candidates);
    }
    return candidates.every((routed) => routed.takesNew())
      ? candidates
      : candidates.filter((routed) => routed.takesNew());
  }

  /** All workers that are ready, whatever their servers' names. */
  get ready(): readonly RoutedWorker[] {
    return [...this.#workers.values()].filter(
      (routed) => routed.isUsable() && this.#living.has(routed.workerId),
    );
  }

  /** Whether the worker gets connections that belong to none of its sessions. */
  setRetiring(workerId: number, isRetiring: boolean): void {
    this.#workers.get(workerId)?.setRetiring(isRetiring);
    this.emit("changed");
  }

  /** Gives workers that come from now on the slots that somebody else says. */
  numberBy(slotOf: (workerId: number) => number | undefined): void {
    this.#slotOf = slotOf;
  }

  /** All slots that workers have had. */
  slots(): SlotStats[] {
    const counts = this.#slotCounts;
    return Array.from({ length: counts.length }, (_, slot) => {
      // During a reload, there may be two; and one that gets no more connections may have some yet.
      const routed = [...this.#workers.values()].filter((each) => each.slot === slot);
      const serving = routed.filter(({ names }) => names.size > 0);
      // What no router has heard of since there is another has connections, too.
      const others = counts.connections(slot, (workerId) => this.#workers.has(workerId));
      return {
        slot,
        workerId: (serving.find((each) => each.takesNew()) ?? serving[0])?.workerId,
        connections: routed.reduce((sum, { connections }) => sum + connections, others),
        ...counts.totals(slot),
      };
    });
  }

  /** How many workers live and are not about to end, ready or not. */
  get living(): number {
    return allWorkers().filter((worker) => !worker.isDead() && !worker.exitedAfterDisconnect).length;
  }

  /** Whether a worker takes connections of that name, and listens no more, or is gone. */
  hasLeft(workerId: number, name: string): boolean {
    const worker = cluster.workers?.[workerId];
    return !worker || worker.isDead() || this.#workers.get(workerId)?.names.has(name) === true;
  }

  /** The worker with that id, if it takes connections of that name. */
  find(workerId: number, name: string): RoutedWorker | undefined {
    const routed = this.#workers.get(workerId);
    return routed?.names.has(name) && routed.isUsable() ? routed : undefined;
  }

  /** Gives connections of that name that come back to `place`. Returns the function that ends it. */
  register(name: string, place: Placer): () => void {
    const end = this.#names.add(name, place);
    // Those that listen themselves are no candidates until they know of it.
    for (const worker of this.#reached) this.#sendAddress(worker, name);
    return () => {
      end();
      if (this.#names.has(name)) return;
      for (const worker of this.#reached) this.#send(worker, { kind: "unrouted", name });
    };
  }

  /** A connection whose router is closed. */
  placeElsewhere(handover: Handover): void {
    this.#names.place(handover);
  }

  /** Tells all workers that take connections of that name where its server listens, if it does. */
  tellAddress(name: string, address: ListenAddress | undefined): void {
    this.#names.setAddress(name, address);
    for (const { worker } of this.candidates(name)) this.#sendAddress(worker, name);
  }

  /** Tells all workers, and those to come, who the other hosts are. */
  tellHosts(hosts: KnownHosts): void {
    this.#hosts = { kind: "hosts", ...hosts };
    for (const worker of this.#reached) this.#send(worker, this.#hosts);
  }

  #sendAddress(worker: Worker, name: string): void {
    if (!this.#names.has(name)) return;
    this.#send(worker, { kind: "address", name, address: this.#names.addressOf(name) });
  }

  /** A worker that listens where a router's server does gets nothing but by `setupWorker()`. */
  #expect(worker: Worker): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (this.#workers.has(worker.id) || worker.isDead()) return;
      const text =
        `Worker ${worker.id} listens where the router does, and gets no connections, since it has not called ` +
        "setupWorker(). Call setupWorker(io) there, for a Socket.IO server that is attached to the HTTP server.";
      this.emit("trouble", new HoldfastError("HOLDFAST_ERR_NOT_SET_UP", text));
    }, SET_UP_MS).unref();
    this.#timers.add(timer);
  }

  /** Workers that have been welcomed. */
  get #reached(): Worker[] {
    return allWorkers().filter(({ id }) => this.#welcomed.has(id));
  }

  /** No router has that name: the worker that owns the connection's session can take it all the same. */
  #placeOrphan(handover: Handover, refusedBy?: number): void {
    const owner = this.#workers.get(this.moves.ownerOf(handover.owner));
    const has = owner && (owner.names.has(handover.name) || owner.earlierNames.has(handover.name));
    // From one that takes nothing, or not this one, it would come back at once.
    if (!has || !owner.isUsable() || owner.isStalled() || refusedBy !== undefined) {
      return handover.handle.close();
    }
    if (handover instanceof Arrival) handover.lane = owner;
    owner.hand(handover);
  }

  #placeAll(handovers: readonly Handover[]): void {
    for (const handover of handovers) this.#names.place(handover);
  }

  #own(release: () => void): void {
    this.#releases.push(release);
  }

  /** Answers a worker's first words. */
  #answer(worker: Worker): void {
    // It would believe that somebody answers.
    if (this.#state === "parting" || this.#answered.has(worker.id)) return;
    this.#answered.add(worker.id);
    this.#welcome(worker);
  }

  #welcome(worker: Worker): void {
    this.#welcomed.add(worker.id);
    const mended = this.#keeper.admit(cluster.settings.uid);
    if (!mended.isChanged) this.#tellDirectory(worker);
    this.#onMended(mended);
  }

  #onMended({ isChanged, warning }: Mended): void {
    for (const worker of isChanged ? this.#reached : []) this.#tellDirectory(worker);
    if (warning) this.emit("trouble", warning);
  }

  /** Where the private directory is, and what belongs to it. */
  #tellDirectory(worker: Worker): void {
    if (this.#state === "parting") return;
    this.#send(worker, { kind: "welcome", version: PROTOCOL_VERSION, ...this.#keeper.secrets });
    if (this.#hosts) this.#send(worker, this.#hosts);
  }

  #send(worker: Worker, message: ToWorker): void {
    this.#sendRaw(worker.id, encodeToWorker(message));
  }

  /** @param sent called when it has left */
  #sendRaw(workerId: number, message: object, sent?: () => void): void {
    const worker = cluster.workers?.[workerId];
    if (!worker?.isConnected()) return;
    worker.process.send?.(message, (error: Error | null) => {
      if (error) reportFailure("channel", "a worker cannot be reached", { workerId, error });
      else sent?.();
    });
  }

  #onMessage(worker: Worker, message: ToPrimary, handle: Handle | undefined): void {
    const routed = this.#workers.get(worker.id);
    switch (message.kind) {
      case "ready":
        this.#living.add(worker);
        this.#onReady(worker, message);
        return;
      case "departed":
        return this.#onDeparted(worker, routed, message.departure);
      case "parted":
        return this.#partings.settle(worker.id);
      case "lookUp":
        this.#living.add(worker);
        this.#answer(worker);
        this.#sendAddress(worker, message.name);
        return;
      case "leaving":
        if (routed) this.#onLeaving(routed, message.name);
        // Node.js sends this after the handle that may be in flight.
        this.#send(worker, { kind: "left", name: message.name });
        return;
      case "report":
        // Also one that is not ready yet, or no more, has sessions.
        this.#slotCounts.onReport(worker.id, message.counts);
        return;
      case "claim": {
        const { ticketId } = message;
        const isGranted = routed?.grant(ticketId) ?? false;
        this.#send(worker, { kind: "claimed", ticketId, isGranted });
        return;
      }
      case "move": {
        const { name, head, peer, owner } = message;
        // The handle is missing if the client was gone before it could be sent.
        if (handle) this.#names.place({ handle, name, head, peer, owner });
        return;
      }
      case "trouble":
        if (message.what === "unreachable") this.emit("unreachable", message.text);
        else this.#onMended(this.#keeper.mend(worker.id, message));
    }
  }

  #onDeparted(worker: Worker, routed: RoutedWorker | undefined, departure: number): void {
    this.#living.remove(worker.id);
    // Whoever speaks again is welcomed again.
    this.#answered.delete(worker.id);
    this.moves.onDeparted(worker.id);
    // Nobody takes there what is sent from now on; what was sent before may come back.
    const isReached = cluster.workers?.[worker.id]?.isConnected() === true;
    if (isReached) this.#partings.onDeparted(worker.id, departure);
    this.#send(worker, { kind: "noted", departure });
    if (!routed) return;
    routed.earlierNames.clear();
    this.#placeAll(routed.recall());
  }

  #onLeaving(routed: RoutedWorker, name: string): void {
    const isKnown = routed.names.delete(name);
    routed.earlierNames.delete(name);
    const recalled = routed.recall(name);
    this.#candidates.clear();
    if (isKnown) this.#emitGone(routed, name, recalled.length);
    this.#placeAll(recalled);
  }

  #onReady(worker: Worker, message: ToPrimary & { kind: "ready" }): void {
    const { name, version } = message;
    if (version !== PROTOCOL_VERSION) {
      const text =
        `Worker ${worker.id} runs another version of @holdfast/sticky (protocol ${version}, here ` +
        `${PROTOCOL_VERSION}) and gets no connections. Install the same version for both and restart the ` +
        "primary.";
      this.emit("trouble", new HoldfastError("HOLDFAST_ERR_VERSION_MISMATCH", text));
      return;
    }
    this.#answer(worker);
    let routed = this.#workers.get(worker.id);
    if (!routed) {
      routed = this.#admit(worker);
      this.#workers.set(worker.id, routed);
    }
    if (routed.isTakenOver) routed.slot = this.#slotFor(worker.id);
    if (routed.names.has(name)) return;
    routed.add(name);
    this.#candidates.clear();
    this.#sendAddress(worker, name);
    const { workerId, slot } = routed;
    if (channels.ready.hasSubscribers) channels.ready.publish({ workerId, slot, name });
    this.emit("ready", routed, name);
    this.emit("changed");
  }

  #admit(worker: Worker): RoutedWorker {
    const routed = new RoutedWorker(worker, this.#slotFor(worker.id), {
      onRefused: (handover) => this.#names.place(handover, worker.id),
      onStalled: (handovers) => {
        const { workerId, slot } = routed;
        const returned = handovers.length;
        if (channels.stalled.hasSubscribers) channels.stalled.publish({ workerId, slot, returned });
        this.#placeAll(handovers);
      },
      onResumed: () => {
        const { workerId, slot } = routed;
        if (channels.resumed.hasSubscribers) channels.resumed.publish({ workerId, slot });
        this.emit("resumed", routed);
      },
    });
    // Requests of what it got now would go to the worker that has got its sessions before.
    if (this.moves.hasGiven(worker.id)) routed.setRetiring(true);
    return routed;
  }

  /** The one that it has had so far, unless another one is wanted, or somebody else has it. */
  #slotFor(workerId: number): number {
    const wanted = this.#wantedSlot(workerId);
    if (wanted !== undefined) return wanted;
    const kept = this.#slotCounts.slotOf(workerId);
    const others = this.#slotCounts.slotsOfOthers(workerId);
    return kept === undefined || others.includes(kept) ? freeSlot(others) : kept;
  }

  /** What the application says. */
  #wantedSlot(workerId: number): number | undefined {
    const onThrown = (cause: unknown) =>
      this.emit(
        "trouble",
        new HoldfastError("HOLDFAST_ERR_INVALID_OPTION", "slotOf() has thrown.", { cause }),
      );
    try {
      const given: unknown = this.#slotOf?.(workerId);
      if (isSlot(given)) return given;
      // A promise is no number. One that is rejected must not end the process.
      Promise.resolve(given).catch(onThrown);
    } catch (cause) {
      onThrown(cause);
    }
    return undefined;
  }

  #remove(worker: Worker): void {
    this.#welcomed.delete(worker.id);
    this.#answered.delete(worker.id);
    this.#partings.forget(worker.id);
    const slot = this.#slotCounts.slotOf(worker.id);
    this.#slotCounts.onGone(worker.id);
    const routed = this.#workers.get(worker.id);
    this.#workers.delete(worker.id);
    const isSentAway = worker.exitedAfterDisconnect && !this.#slotOf;
    if (isSentAway && slot !== undefined) fillSlot(slot, [...this.#workers.values()]);
    if (!routed) return;
    this.#candidates.clear();
    this.moves.onGone(worker.id);
    const connections = routed.close();
    for (const name of routed.names) {
      const returned = connections.filter((handover) => handover.name === name).length;
      this.#emitGone(routed, name, returned);
    }
    this.#placeAll(connections);
  }

  #emitGone(routed: RoutedWorker, name: string, returned: number): void {
    const { workerId, slot } = routed;
    if (channels.gone.hasSubscribers) channels.gone.publish({ workerId, slot, name, returned });
    this.emit("gone", routed, name);
  }
}
