/**
 * The router: reads as little of a connection as it needs, picks the worker, hands the connection over.
 * Owns: the connections of one server from their arrival until a worker has them. Runs in: primary.
 *
 * A connection is in one place at a time: in the intake while its head is read, in the waiting room while no worker
 * takes it, in the lane of a worker on its way there. `maxPendingConnections` bounds the three together.
 *
 * Longer than other files: the ways of a connection between intake, waiting room and lanes are read together.
 */
import type { Server as NetServer } from "node:net";
import { monotonicMs } from "../clock.js";
import { channels } from "../diagnostics.js";
import { HoldfastError } from "../errors.js";
import { ApplicationEvents } from "../faults.js";
import type { Handover } from "../handle/handover.js";
import { addressOf, type Handle } from "../handle/node-internals.js";
import { Histogram } from "../histogram.js";
import type {
  MoveOptions,
  MoveResult,
  RebalanceOptions,
  RetireOptions,
  Successors,
  WorkerLike,
} from "../moves.js";
import type { HostTlsOptions } from "../options.js";
import { type PrimaryEvents, type PrimaryStats, REFUSAL_REASONS, type RefusalReason } from "../stats.js";
import { decodeMark, NO_OWNER } from "../wire/owner-mark.js";
import { sessionIdOf } from "../wire/session-id.js";
import { takeConnections } from "./acceptor.js";
import { Arrival, type Care } from "./arrival.js";
import { Chooser } from "./chooser.js";
import { createHeadReader, type Head, type HeadReader } from "./head.js";
import { HostWay } from "./host-way.js";
import { Intake, type IntakeFailure } from "./intake.js";
import { listenAfterWorkers } from "./late-listen.js";
import { Readiness } from "./readiness.js";
import { type RefusalStatus, refuse } from "./refusal.js";
import type { ResolvedPrimaryOptions } from "./resolve-options.js";
import { moveSessions, rebalance, retire } from "./retirement.js";
import { Roster } from "./roster.js";
import type { RoutedWorker } from "./routed-worker.js";
import { WaitingRoom } from "./waiting-room.js";

/** How long a connection may wait for workers that are there but take nothing; or for `workerTimeout`, if that is more. */
const STALL_TIMEOUT_MS = 30_000;

/** A head of which nothing was read. */
const UNREAD: Head = { kind: "unread", skip: 0, peer: undefined };

const INTAKE_FAILURES: Readonly<Record<IntakeFailure, readonly [RefusalReason, RefusalStatus?]>> = {
  "client-closed": ["client-closed"],
  evicted: ["evicted"],
  silent: ["silent"],
  timeout: ["head-timeout", 408],
  "too-long": ["head-too-long", 431],
};

export class Router extends ApplicationEvents<PrimaryEvents> {
  readonly #options: ResolvedPrimaryOptions;
  readonly #roster = Roster.acquire();
  /** `undefined` if there are no other hosts. */
  readonly #hostWay: HostWay | undefined;
  readonly #chooser: Chooser;
  /** Reads the head of a connection that comes back; `undefined` if nothing has to be read. */
  readonly #reread: HeadReader | undefined;
  /** `undefined` if nothing has to be read. */
  readonly #intake: Intake<Head> | undefined;
  readonly #waiting: WaitingRoom;
  /** On their way to a worker, in order. */
  readonly #handing = new Set<Arrival>();
  readonly #care: Care = {
    onTaken: (arrival) => this.#onTaken(arrival),
    place: (handover, refusedBy) => this.#onReturned(handover, refusedBy),
  };
  readonly #readiness: Readiness;
  readonly #refused = Object.fromEntries(REFUSAL_REASONS.map((reason) => [reason, 0])) as Record<
    RefusalReason,
    number
  >;
  readonly #handover = new Histogram();
  #accepted = 0;
  readonly #releases: (() => void)[] = [];
  // open → closed
  #state: "open" | "closed" = "open";
  /** Settles when it is closed. */
  #ended = Promise.resolve();

  constructor(server: NetServer, options: ResolvedPrimaryOptions, onClose: () => void) {
    super();
    this.#releases.push(onClose);
    this.#options = options;
    this.#chooser = new Chooser(options, (warning) => this.#warn(warning));
    const needs = {
      proxyProtocol: options.proxyProtocol,
      requestLine: options.loadBalancingMethod !== "hash" || options.selectWorker !== undefined,
      headerField: this.#chooser.needsAddress && options.isTrusted ? options.forwardedHeader : undefined,
    };
    this.#reread = createHeadReader({ ...needs, proxyProtocol: false });
    const read = createHeadReader(needs);
    this.#intake =
      read &&
      new Intake(options, {
        read,
        done: (handle, bytes, head) => this.#onHead(handle, bytes, head),
        failed: (handle, why) => this.#refuse(handle, ...INTAKE_FAILURES[why]),
      });
    this.#waiting = new WaitingRoom(options.maxHeadBytes, {
      onTimeout: (arrival) => this.#onTimeout(arrival),
      onLeft: ({ handle }) => this.#refuse(handle, "client-closed"),
    });
    this.#readiness = new Readiness(() => ({
      ready: this.#candidates.length,
      living: this.#roster.living,
    }));
    try {
      this.#hostWay = options.hosts && HostWay.acquire(options.hosts, options, this.#roster);
    } catch (error) {
      void this.#roster.release();
      throw error;
    }
    if (options.slotOf) this.#roster.numberBy(options.slotOf);
    this.#listen(server);
  }

  stats(): PrimaryStats {
    return {
      accepted: this.#accepted,
      pending: this.#intake?.size ?? 0,
      waiting: this.#waiting.size,
      refused: { ...this.#refused },
      workers: this.#roster.candidates(this.#options.name).map((routed) => routed.stats()),
      slots: this.#roster.slots(),
      handover: this.#handover.stats(),
      moves: this.#roster.moves.stats(),
      moveDuration: this.#roster.moves.durations,
      hosts: this.#hostWay?.stats,
    };
  }

  ready(workers?: number): Promise<void> {
    return this.#readiness.wait(workers);
  }

  async retire(worker: WorkerLike, successors: Successors, options?: RetireOptions): Promise<MoveResult> {
    this.#needOpen("retire");
    return retire(this.#roster, worker, successors, options);
  }

  async moveSessions(worker: WorkerLike, successor: WorkerLike, options?: MoveOptions): Promise<MoveResult> {
    this.#needOpen("moveSessions");
    return moveSessions(this.#roster, worker, successor, options);
  }

  async rebalance(options?: RebalanceOptions): Promise<MoveResult[]> {
    this.#needOpen("rebalance");
    return rebalance(this.#roster, options);
  }

  renewHostTls(hostTls: HostTlsOptions): void {
    this.#needOpen("renewHostTls");
    if (!this.#hostWay) {
      throw new HoldfastError(
        "HOLDFAST_ERR_INVALID_OPTION",
        'renewHostTls() was called on a router without the option "hosts".',
      );
    }
    this.#hostWay.renewTls(hostTls);
  }

  close(): Promise<void> {
    if (this.#state === "open") {
      this.#state = "closed";
      this.#ended = this.#close();
    }
    return this.#ended;
  }

  async #close(): Promise<void> {
    for (const release of this.#releases.splice(0)) release();
    this.#readiness.close();
    this.#intake?.close();
    for (const arrival of this.#waiting.close()) this.#roster.placeElsewhere(arrival);
    this.#hostWay?.release();
    await this.#roster.release();
  }

  #needOpen(method: string): void {
    if (this.#state === "open") return;
    throw new HoldfastError("HOLDFAST_ERR_CLOSED", `${method}() was called after close().`);
  }

  #listen(server: NetServer): void {
    const { name } = this.#options;
    const onReady = (routed: RoutedWorker, readyName: string) => {
      if (readyName !== name) return;
      this.emit("worker:ready", { workerId: routed.workerId, slot: routed.slot });
      this.#placeWaiting();
    };
    const onGone = (routed: RoutedWorker, goneName: string) => {
      if (goneName !== name) return;
      this.emit("worker:gone", { workerId: routed.workerId, slot: routed.slot });
      this.#placeWaiting();
    };
    const onResumed = (routed: RoutedWorker) => {
      if (routed.names.has(name)) this.#placeWaiting();
    };
    const onListening = () => this.#roster.tellAddress(name, server.address() ?? undefined);
    const onTrouble = (warning: HoldfastError) => this.#warn(warning);
    const onChanged = () => this.#readiness.check();
    const roster = this.#roster;
    roster.on("ready", onReady).on("gone", onGone).on("resumed", onResumed);
    roster.on("trouble", onTrouble).on("changed", onChanged);
    const onServerClose = () => this.#roster.tellAddress(name, undefined);
    // First: when a listener of the application throws, Node.js calls none after it.
    server.prependListener("listening", onListening).prependListener("close", onServerClose);
    this.#releases.push(
      takeConnections(server, (handle, buffered) => this.#onHandle(handle, buffered)),
      () => server.off("listening", onListening).off("close", onServerClose),
      () => roster.off("ready", onReady).off("gone", onGone).off("resumed", onResumed),
      () => roster.off("trouble", onTrouble).off("changed", onChanged),
      roster.register(name, this.#care.place),
    );
    if (this.#hostWay) this.#releases.push(this.#watchHosts(this.#hostWay));
    if (server.listening) onListening();
    this.#releases.push(
      listenAfterWorkers(
        server,
        (workerIds) => workerIds.every((id) => this.#roster.hasLeft(id, name)),
        (listener) => {
          roster.on("changed", listener);
          return () => void roster.off("changed", listener);
        },
      ),
    );
  }

  /** Returns the function that ends it. */
  #watchHosts(hostWay: HostWay): () => void {
    const onTrouble = (warning: HoldfastError) => this.#warn(warning);
    const onKnown = () => {
      this.#placeWaiting();
      this.#readiness.check();
    };
    hostWay.on("trouble", onTrouble).on("known", onKnown);
    return () => void hostWay.off("trouble", onTrouble).off("known", onKnown);
  }

  /**
   * The workers that can take connections. None can as long as they do not know the other hosts: they would take sessions
   * of those for unknown ones.
   */
  get #candidates(): readonly RoutedWorker[] {
    return this.#hostWay?.isKnown === false ? [] : this.#roster.candidates(this.#options.name);
  }

  #onHandle(handle: Handle, buffered: Buffer | undefined): void {
    this.#accepted++;
    if (!this.#makeRoom()) this.#refuse(handle, "evicted", 503);
    else if (this.#intake) this.#intake.add(handle, buffered);
    else this.#onHead(handle, buffered, UNREAD);
  }

  #onHead(handle: Handle, bytes: Buffer | undefined, head: Head): void {
    if (head.kind === "invalid") this.#refuse(handle, "bad-request", 400);
    else if (head.kind === "invalid-proxy-header") this.#refuse(handle, "bad-proxy-header");
    else this.#place(this.#arrival(handle, bytes, head));
  }

  #arrival(handle: Handle, bytes: Buffer | undefined, parsed: Head): Arrival {
    const { skip, peer, target } = parsed;
    const sessionId = target === undefined ? undefined : sessionIdOf(target);
    const marked = sessionId === undefined ? NO_OWNER : decodeMark(this.#roster.tag, sessionId);
    const owner = marked === NO_OWNER ? NO_OWNER : this.#roster.moves.ownerOf(marked);
    const head = bytes === undefined ? "" : bytes.toString("latin1", skip);
    return new Arrival({ handle, name: this.#options.name, head, peer, owner }, parsed, this.#care);
  }

  #onReturned(handover: Handover, refusedBy: number | undefined): void {
    const arrival =
      handover instanceof Arrival && this.#handing.delete(handover) ? handover : this.#comeBack(handover);
    if (refusedBy !== undefined) arrival.refuse(refusedBy);
    this.#place(arrival);
  }

  /** A connection that a worker had. */
  #comeBack(handover: Handover): Arrival {
    const parsed = this.#reread?.(Buffer.from(handover.head, "latin1"), 0);
    return new Arrival(handover, parsed ?? UNREAD, this.#care);
  }

  #place(arrival: Arrival): void {
    const { moves } = this.#roster;
    // It would come to a worker that is about to end.
    if (moves.hasGiven(arrival.owner)) arrival.owner = moves.ownerOf(arrival.owner);
    const { owner } = arrival;
    const owning =
      owner === NO_OWNER || this.#hostWay?.isKnown === false
        ? undefined
        : this.#roster.find(owner, this.#options.name);
    if (owning && !arrival.wasRefusedBy(owner)) {
      if (owning.isStalled()) this.#wait(arrival, this.#stallTimeoutMs);
      else this.#hand(arrival, owning);
      return;
    }
    const able = this.#findAble(arrival);
    if (!able) return;
    const answer = this.#chooser.ask(able, arrival);
    if (answer instanceof Promise) this.#await(answer, arrival);
    else this.#hand(arrival, this.#chooser.choose(able, arrival, answer));
  }

  /** The workers that can take a connection. If there are none, it waits or is refused. */
  #findAble(arrival: Arrival): readonly RoutedWorker[] | undefined {
    const ready = this.#candidates;
    const willing = those(ready, ({ workerId }) => !arrival.wasRefusedBy(workerId));
    const able = those(willing, (routed) => !routed.isStalled());
    if (able.length > 0) {
      const idle = those(able, (routed) => !routed.isBusy());
      return idle.length > 0 ? idle : able;
    }
    if (ready.length === 0) this.#wait(arrival, this.#options.workerTimeoutMs);
    else if (willing.length > 0) this.#wait(arrival, this.#stallTimeoutMs);
    else this.#refuse(arrival.handle, "undeliverable", 503);
    return undefined;
  }

  /** `selectWorker` has given a promise. */
  #await(answer: Promise<number | undefined>, arrival: Arrival): void {
    arrival.isAwaiting = true;
    this.#waiting.add(arrival, monotonicMs() + this.#options.workerTimeoutMs);
    void answer.then((selected) => {
      if (arrival.isAwaiting && this.#waiting.take(arrival)) this.#placeSelected(arrival, selected);
    });
  }

  #placeSelected(arrival: Arrival, selected: number | undefined): void {
    arrival.isAwaiting = false;
    const able = this.#findAble(arrival);
    if (able) this.#hand(arrival, this.#chooser.choose(able, arrival, selected));
  }

  #onTimeout(arrival: Arrival): void {
    if (!arrival.isAwaiting) return this.#refuse(arrival.handle, "no-worker", 503);
    this.#chooser.onSilence();
    this.#placeSelected(arrival, undefined);
  }

  #hand(arrival: Arrival, routed: RoutedWorker): void {
    arrival.lane = routed;
    this.#handing.add(arrival);
    routed.hand(arrival);
  }

  #onTaken(arrival: Arrival): void {
    this.#handing.delete(arrival);
    const durationMs = monotonicMs() - arrival.since;
    this.#handover.add(durationMs);
    const routed = arrival.lane;
    if (!routed || !channels.handover.hasSubscribers) return;
    const { workerId, slot } = routed;
    const owner = arrival.owner === NO_OWNER ? undefined : arrival.owner;
    channels.handover.publish({ workerId, slot, name: arrival.name, durationMs, owner });
  }

  get #stallTimeoutMs(): number {
    return Math.max(this.#options.workerTimeoutMs, STALL_TIMEOUT_MS);
  }

  #wait(arrival: Arrival, timeoutMs: number): void {
    this.#waiting.add(arrival, arrival.since + timeoutMs);
  }

  /** A worker came, went, or takes connections again. */
  #placeWaiting(): void {
    for (const arrival of this.#waiting.takeAll(({ isAwaiting }) => !isAwaiting)) this.#place(arrival);
  }

  /** Makes room for one more connection; `false` if all that are here are just leaving. */
  #makeRoom(): boolean {
    const reading = this.#intake?.size ?? 0;
    const placed = this.#waiting.size + this.#handing.size;
    if (reading + placed < this.#options.maxPendingConnections) return true;
    const oldest = reading >= placed ? undefined : (this.#waiting.takeOldest() ?? this.#withdrawOldest());
    if (oldest) this.#refuse(oldest.handle, "evicted", 503);
    else if (reading > 0) this.#intake?.evictOldest();
    else return false;
    return true;
  }

  #withdrawOldest(): Arrival | undefined {
    for (const arrival of this.#handing) {
      if (!arrival.lane?.withdraw(arrival)) continue;
      this.#handing.delete(arrival);
      return arrival;
    }
    return undefined;
  }

  /** Where nobody listens, Node.js prints it. */
  #warn(warning: HoldfastError): void {
    if (this.listenerCount("warning") > 0) this.emit("warning", warning);
    else process.emitWarning(warning);
  }

  #refuse(handle: Handle, reason: RefusalReason, status?: RefusalStatus): void {
    this.#refused[reason]++;
    if (channels.refusal.hasSubscribers) {
      const { name } = this.#options;
      channels.refusal.publish({ name, reason, remoteAddress: addressOf(handle), status });
    }
    if (this.listenerCount("refused") > 0) this.emit("refused", { reason, remoteAddress: addressOf(handle) });
    const retryAfterSeconds = Math.max(1, Math.ceil(this.#options.workerTimeoutMs / 1_000));
    if (status === undefined) handle.close();
    else refuse(handle, status, status === 503 ? retryAfterSeconds : undefined);
  }
}

/** All that pass; without a new list if that is all of them. */
function those<T>(items: readonly T[], passes: (item: T) => boolean): readonly T[] {
  return items.every(passes) ? items : items.filter(passes);
}
