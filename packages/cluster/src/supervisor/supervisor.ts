/**
 * The cluster as a whole: its places, and what is done to all of them, one after another.
 * Owns: the slots, the workers that leave, the clock, the queue of orders. Runs in: primary.
 *
 * Longer than other files: orders run one after another and cut each other short, so each is read with the others.
 */
import type { EventEmitter } from "node:events";
import type { MoveResult, StickyPrimary } from "@holdfast/sticky";
import { HoldfastError } from "../errors.js";
import type { RebalanceResult, ReloadProgress, ReloadResult, ScaleResult, SessionCounts } from "../reload.js";
import type { ClusterEvents, SlotStatus, StopResult, WorkerExit } from "../status.js";
import { Changes } from "./changes.js";
import { LoopClock } from "./loop-clock.js";
import type { MoveSessions } from "./moves.js";
import { Reloading } from "./reloading.js";
import type { ResolvedClusterOptions } from "./resolve-options.js";
import { Retirement, type RetirementSettings } from "./retirement.js";
import { Slot } from "./slot.js";
import { SlotTotals } from "./slot-totals.js";
import { placeNextWorker } from "./worker-directory.js";
import { WorkerProcess } from "./worker-process.js";

/** Of the time in which a worker may be silent, how much is between two of its beats. */
const BEAT_SHARE = 5;
const MAX_BEAT_MS = 1_000;

export class Supervisor {
  readonly events: EventEmitter<ClusterEvents>;
  /** What is going on. */
  reload: ReloadProgress | undefined;
  reloads = 0;
  /** What is carried out. */
  order: AbortController | undefined;
  readonly #options: ResolvedClusterOptions;
  readonly #router: StickyPrimary;
  readonly #move: MoveSessions;
  readonly #totals: SlotTotals[] = [];
  readonly #slots: Slot[] = [];
  /** Of the slots and their workers. */
  readonly #changes = new Changes();
  /** All whose processes live, those that leave and those that come included. */
  readonly #living = new Set<WorkerProcess>();
  readonly #clock: LoopClock;
  readonly #releases: (() => void)[] = [];
  /** Lets the first order begin: when the first workers are there, or there will be none. */
  #begin = () => {};
  /** The order that is carried out, and those behind it. */
  #queue: Promise<unknown> = new Promise<void>((resolve) => {
    this.#begin = resolve;
  });
  #nextReload: Promise<ReloadResult> | undefined;
  #hasBeenReady = false;
  /** The last end of a worker that nobody had asked for. */
  #lastCrash: WorkerExit | undefined;
  // running → failed → stopping → stopped; running → stopping
  #state: "running" | "failed" | "stopping" | "stopped" = "running";

  constructor(
    options: ResolvedClusterOptions,
    router: StickyPrimary,
    move: MoveSessions,
    events: EventEmitter<ClusterEvents>,
  ) {
    this.#options = options;
    this.#router = router;
    this.#move = move;
    this.events = events;
    const shortestMs = Math.min(options.readyTimeoutMs, options.hangTimeoutMs || options.readyTimeoutMs);
    this.#clock = new LoopClock(shortestMs, () => {
      for (const worker of this.#living) worker.check();
    });
    const onReady = ({ workerId }: { readonly workerId: number }) => this.#onReady(workerId);
    router.on("worker:ready", onReady);
    this.#releases.push(
      () => router.off("worker:ready", onReady),
      () => this.#clock.close(),
    );
  }

  /** Starts the workers, and settles when all are ready or have been given up. */
  async start(): Promise<void> {
    this.#addSlots(this.#options.workers);
    this.#begin();
    await this.#untilSettled();
  }

  slots(): SlotStatus[] {
    const connections = this.#connections();
    return this.#slots.map((slot) => slot.status((workerId) => connections.get(workerId) ?? 0));
  }

  /** The place of a worker, also of one that comes or leaves. */
  slotOf(workerId: number): number | undefined {
    return [...this.#living].find(({ identity }) => identity.workerId === workerId)?.identity.slot;
  }

  /** Orders that wait for their turn are one: what the first of them finds is what the last one wanted. */
  reloadAll(): Promise<ReloadResult> {
    this.#nextReload ??= this.#enqueue((makesWay) => {
      this.#nextReload = undefined;
      return this.#reload(makesWay);
    });
    return this.#nextReload;
  }

  /** Lets the next order begin before this one is done, if it can be cut short. */
  giveUp(order: AbortController): void {
    if (this.order === order) order.abort();
  }

  /** Replaces one worker, as a reload does. @returns `undefined` if another worker is there by then */
  restart(number: number, workerId: number): Promise<ReloadResult | undefined> {
    return this.#enqueue(async (makesWay) => {
      const slot = this.#slots[number];
      const isThere = slot?.worker?.identity.workerId === workerId;
      return isThere ? this.#reload(makesWay, [slot]) : undefined;
    });
  }

  scale(workers: number): Promise<ScaleResult> {
    return this.#enqueue((makesWay) => this.#scale(workers, makesWay));
  }

  rebalance(): Promise<RebalanceResult> {
    return this.#enqueue(() => this.#rebalance());
  }

  /** Kills all workers that are left. */
  hurry(): void {
    for (const worker of this.#living) worker.hurry();
  }

  /** @throws {HoldfastError} `HOLDFAST_ERR_CLOSED` when the cluster stops */
  throwIfStopping(): void {
    if (this.#state === "running") return;
    throw new HoldfastError(
      "HOLDFAST_ERR_CLOSED",
      "The cluster has begun to stop, so it takes no more orders.",
    );
  }

  /** Starts a worker for that place. `take` gets it before anybody hears of it. */
  #fork(slot: number, take: (worker: WorkerProcess) => void = () => {}): WorkerProcess {
    const { hangTimeoutMs, readyTimeoutMs, drainTimeoutMs } = this.#options;
    const beatMs = Math.min(MAX_BEAT_MS, Math.ceil((hangTimeoutMs || MAX_BEAT_MS) / BEAT_SHARE));
    const limits = { hangTimeoutMs, readyTimeoutMs, drainTimeoutMs, beatMs };
    placeNextWorker(this.#options);
    const worker = new WorkerProcess(
      slot,
      this.#options.env,
      limits,
      this.#clock,
      this.#totalsOf(slot).requests,
    );
    this.#living.add(worker);
    void worker.exited.then((exit) => this.#onExit(worker, exit));
    take(worker);
    const { pid } = worker.identity;
    if (pid !== undefined) this.events.emit("worker:start", { ...worker.identity, pid });
    return worker;
  }

  /** Its slot hears of it first: whoever is told, and looks at the status, finds it there. */
  #onExit(worker: WorkerProcess, exit: WorkerExit): void {
    const isNews = this.#living.delete(worker);
    const slot = this.#slots.find((each) => each.worker === worker);
    slot?.onExit(exit);
    if (isNews) this.events.emit("worker:exit", exit);
    if (slot) this.#onCrash(slot, exit);
    else this.#onChange();
  }

  #totalsOf(slot: number): SlotTotals {
    this.#totals[slot] ??= new SlotTotals();
    return this.#totals[slot];
  }

  /** Starts workers in new places until there are so many places. */
  #addSlots(count: number): Slot[] {
    const added: Slot[] = [];
    while (this.#slots.length < count) {
      // Whoever hears of a start may stop the cluster.
      this.throwIfStopping();
      const slot = this.#addSlot();
      added.push(slot);
      slot.start();
    }
    return added;
  }

  #addSlot(): Slot {
    const number = this.#slots.length;
    const slot: Slot = new Slot(number, this.#options, this.#totalsOf(number), {
      fork: (number, take) => void this.#fork(number, take),
      onExit: (worker, exit) => this.#onExit(worker, exit),
      onCrash: (exit) => this.#onCrash(slot, exit),
      onChange: () => this.#onChange(),
    });
    this.#slots.push(slot);
    return slot;
  }

  #onReady(workerId: number): void {
    for (const worker of this.#living) {
      const { pid } = worker.identity;
      if (worker.identity.workerId !== workerId || pid === undefined || !worker.onReady()) continue;
      this.#hasBeenReady = true;
      this.events.emit("worker:ready", { ...worker.identity, pid });
    }
    this.#onChange();
  }

  #onCrash(slot: Slot, exit: WorkerExit): void {
    this.#lastCrash = exit;
    if (slot.isGivenUp) this.events.emit("worker:abandoned", exit);
    this.#onChange();
  }

  /** Asked at each change of a slot, and when a worker comes or goes that is in none: is there any hope? */
  #onChange(): void {
    this.#changes.tell();
    if (this.#state !== "running" || !this.#lastCrash || !this.#isHopeless()) return;
    this.#state = "failed";
    this.events.emit("failed", crashLoop(this.#lastCrash, this.#crashes, this.#options));
  }

  /** Whether nobody is left, and nobody comes; or all have crashed too often before anybody was ready. */
  #isHopeless(): boolean {
    const isInVain = !this.#hasBeenReady && this.#crashes >= this.#options.maxCrashes;
    if (!isInVain && this.#slots.some((slot) => slot.isAlive)) return false;
    // A successor may become ready; one that leaves works as long as its sessions move.
    const others = [...this.#living].filter((worker) => this.#slots.every((slot) => slot.worker !== worker));
    return others.every(({ isEnding }) => isEnding);
  }

  /** In a row, of all slots. */
  get #crashes(): number {
    return this.#slots.reduce((sum, slot) => sum + slot.crashes, 0);
  }

  /** Settles when no worker is about to become ready. */
  async #untilSettled(): Promise<void> {
    const isUnsettled = (slot: Slot) => slot.isAlive && !slot.worker?.isReady;
    while (this.#state === "running" && this.#slots.some(isUnsettled)) await this.#changes.next();
  }

  async #reload(makesWay: AbortSignal, slots: readonly Slot[] = this.#slots): Promise<ReloadResult> {
    this.throwIfStopping();
    const reloading = new Reloading(slots, makesWay, {
      fork: (slot) => this.#fork(slot),
      retire: (worker, onProgress) => this.#retirementOf(worker, onProgress),
      throwIfStopping: () => this.throwIfStopping(),
      onProgress: (progress) => {
        this.reload = progress;
        this.events.emit("reload:progress", progress);
      },
    });
    try {
      const result = await reloading.run();
      this.reloads++;
      this.events.emit("reload:done", result);
      return result;
    } catch (error) {
      if (error instanceof HoldfastError) this.events.emit("reload:failed", error);
      throw error;
    } finally {
      this.reload = undefined;
    }
  }

  async #scale(workers: number, makesWay: AbortSignal): Promise<ScaleResult> {
    this.throwIfStopping();
    const before = this.#slots.length;
    if (workers >= before) {
      await this.#grow(workers, makesWay);
      const { moved } = await this.#rebalance();
      return { before, after: this.#slots.length, moved, closed: 0, killed: 0 };
    }
    const leaving = this.#slots.splice(workers).flatMap((slot) => slot.close() ?? []);
    const to = this.#slots.flatMap(({ worker }) => (worker?.isReady ? [worker] : []));
    const counts = await Promise.all(
      leaving.map(async (worker) => {
        const retirement = this.#retirementOf(worker);
        await retirement.move(to);
        return retirement.end();
      }),
    );
    this.throwIfStopping();
    return { before, after: this.#slots.length, ...sum(counts) };
  }

  async #grow(workers: number, makesWay: AbortSignal): Promise<void> {
    const added = this.#addSlots(workers);
    makesWay.onabort = () => {
      for (const { worker } of added) worker?.makeWay();
    };
    const ready = await Promise.all(added.map((slot) => slot.worker?.settled ?? false));
    makesWay.onabort = null;
    if (ready.every((isReady) => isReady)) return;
    this.throwIfStopping();
    if (makesWay.aborted) {
      throw new HoldfastError(
        "HOLDFAST_ERR_OVERTAKEN",
        "The new workers were not ready yet when a file had changed. They are started again, with what is in the files now.",
      );
    }
    throw new HoldfastError(
      "HOLDFAST_ERR_WORKER_FAILED",
      `Of ${added.length} new workers, ${ready.filter((isReady) => !isReady).length} did not become ready. They are ` +
        "started again like others that crash.",
    );
  }

  async #rebalance(): Promise<RebalanceResult> {
    this.throwIfStopping();
    const results = await this.#router.rebalance();
    this.throwIfStopping();
    const moved = results.reduce((total, result) => total + result.moved, 0);
    const connections = this.slots().map((slot) => slot.connections);
    return { moved, connections, reason: moved > 0 ? undefined : whyNothingMoved(results) };
  }

  #retirementOf(worker: WorkerProcess, onProgress: RetirementSettings["onProgress"] = () => {}): Retirement {
    const { drainTimeoutMs } = this.#options;
    const connections = () => this.#connections().get(worker.identity.workerId) ?? 0;
    return new Retirement(worker, { drainTimeoutMs, connections, move: this.#move, onProgress });
  }

  /** Ends all workers. Orders that are carried out or wait are given up. Called once. */
  async stop(timeoutMs: number): Promise<StopResult> {
    this.#state = "stopping";
    this.#begin();
    this.events.emit("stopping");
    for (const slot of this.#slots) slot.close();
    const exits = await Promise.all([...this.#living].map((worker) => worker.end(timeoutMs)));
    // What an order has begun ends with the workers that it waits for.
    await this.#queue;
    for (const release of this.#releases.splice(0)) release();
    this.#state = "stopped";
    return { killed: exits.filter(({ reason }) => reason === "overdue").length };
  }

  /** @param order is told when it is to make way for the next one */
  #enqueue<T>(order: (makesWay: AbortSignal) => Promise<T>): Promise<T> {
    const result = this.#queue.then(async () => {
      this.order = new AbortController();
      try {
        return await order(this.order.signal);
      } finally {
        this.order = undefined;
      }
    });
    this.#queue = result.catch(() => {});
    return result;
  }

  /** Of each worker, by its id. */
  #connections(): Map<number, number> {
    return new Map(this.#router.stats().workers.map(({ workerId, connections }) => [workerId, connections]));
  }
}

function whyNothingMoved(results: readonly MoveResult[]): string {
  if (results.length === 0) return "The workers have their share already.";
  const obstacles = new Set(results.flatMap(({ left }) => Object.keys(left)));
  return `No session could be moved${obstacles.size > 0 ? `: ${[...obstacles].join(", ")}` : ""}.`;
}

function sum(counts: readonly SessionCounts[]): SessionCounts {
  const total = { moved: 0, closed: 0, killed: 0 };
  for (const { moved, closed, killed } of counts) {
    total.moved += moved;
    total.closed += closed;
    total.killed += killed;
  }
  return total;
}

function crashLoop(exit: WorkerExit, crashes: number, limits: WorkerTimes): HoldfastError {
  const { reason, lastWords } = exit;
  // Of a worker without a process, they are the reason.
  const words = lastWords === "" || reason === "no-process" ? "" : ` Its last words:\n${lastWords}`;
  return new HoldfastError(
    "HOLDFAST_ERR_CRASH_LOOP",
    `No worker is left after ${crashes} crashes in a row; the last one ${howItEnded(exit, limits)}.${words}`,
  );
}

type WorkerTimes = Pick<ResolvedClusterOptions, "readyTimeoutMs" | "hangTimeoutMs">;

function howItEnded({ reason, code, signal, lastWords }: WorkerExit, limits: WorkerTimes): string {
  switch (reason) {
    case "no-process":
      return `got no process: ${lastWords}`;
    case "not-ready":
      return (
        `did not call joinCluster(io) within readyTimeout (${limits.readyTimeoutMs} ms), or with another sticky.name than ` +
        "startCluster(), and was killed"
      );
    case "hang":
      return `stood still for longer than hangTimeout (${limits.hangTimeoutMs} ms) and was killed`;
    default:
      return `ended with ${signal ?? `exit code ${code}`}`;
  }
}
