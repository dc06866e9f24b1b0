/**
 * A place in the cluster: one worker after another.
 * Owns: its worker, and the timer of the next one. Runs in: primary.
 */
import type { SlotState, SlotStatus, WorkerExit } from "../status.js";
import { type RestartLimits, Restarts } from "./restarts.js";
import type { SlotTotals } from "./slot-totals.js";
import type { WorkerProcess } from "./worker-process.js";

export interface SlotHooks {
  /** Starts a worker for that place. `take` gets it before anybody hears of it. */
  fork(slot: number, take: (worker: WorkerProcess) => void): void;
  /** A worker that the slot has just got had ended before: nobody will say so any more. */
  onExit(worker: WorkerProcess, exit: WorkerExit): void;
  /** It is told now that a worker has ended that nobody had asked to: see {@link Slot.isGivenUp} for what comes of it. */
  onCrash(exit: WorkerExit): void;
  /** The slot is in another state. */
  onChange(): void;
}

/**
 * empty: nobody has come yet. given-up: too many crashes. held: a worker has crashed whose predecessor is still there.
 * closed: nobody comes here any more.
 *
 * empty → running → waiting → running; running → held → waiting; running and held → given-up; given-up → running by
 * `adopt()`; any → closed by `close()`
 */
type State =
  | { readonly kind: "empty" | "closed" }
  | { readonly kind: "running"; readonly worker: WorkerProcess }
  | { readonly kind: "waiting"; readonly timer: NodeJS.Timeout }
  | { readonly kind: "held"; readonly exit: WorkerExit }
  | { readonly kind: "given-up" };

export class Slot {
  readonly number: number;
  readonly #hooks: SlotHooks;
  readonly #restarts: Restarts;
  readonly #totals: SlotTotals;
  #state: State = { kind: "empty" };
  #lastExit: WorkerExit | undefined;
  /** Whether a worker that crashes gets no other one in its place for now. */
  #isHeld = false;

  constructor(number: number, limits: RestartLimits, totals: SlotTotals, hooks: SlotHooks) {
    this.number = number;
    this.#totals = totals;
    this.#hooks = hooks;
    this.#restarts = new Restarts(limits);
  }

  get worker(): WorkerProcess | undefined {
    return this.#state.kind === "running" ? this.#state.worker : undefined;
  }

  /** Whether a worker is there or will be. */
  get isAlive(): boolean {
    return !["empty", "closed", "given-up"].includes(this.#state.kind);
  }

  /** Whether there will be no other worker, since too many have crashed. */
  get isGivenUp(): boolean {
    return this.#state.kind === "given-up";
  }

  get crashes(): number {
    return this.#restarts.crashes;
  }

  start(): void {
    if (this.#state.kind === "closed") return;
    this.#hooks.fork(this.number, (worker) => this.#settle(worker));
  }

  /** Puts a worker there that is ready. Returns the one that it replaces. */
  adopt(worker: WorkerProcess): WorkerProcess | undefined {
    if (this.#state.kind === "closed") return undefined;
    const { worker: before } = this;
    this.#forgetTimer();
    this.#isHeld = false;
    this.#restarts.forget();
    this.#settle(worker);
    return before;
  }

  /** Its predecessor may take the worker's place again: until {@link release}, one that crashes gets no other in its place. */
  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
    if (this.#state.kind !== "held") return;
    const { exit } = this.#state;
    this.#followUp(exit);
    this.#hooks.onCrash(exit);
  }

  /** Looks after nobody any more. Returns the worker that was there; it goes on. */
  close(): WorkerProcess | undefined {
    const { worker } = this;
    this.#forgetTimer();
    this.#state = { kind: "closed" };
    this.#isHeld = false;
    this.#hooks.onChange();
    return worker;
  }

  /** Its worker has ended, and nobody had asked it to. */
  onExit(exit: WorkerExit): void {
    this.#lastExit = exit;
    if (this.#isHeld) this.#state = { kind: "held", exit };
    else this.#followUp(exit);
  }

  status(connections: (workerId: number) => number): SlotStatus {
    const worker = this.worker?.isGone ? undefined : this.worker;
    return {
      slot: this.number,
      state: this.#publicState(),
      workerId: worker?.identity.workerId,
      pid: worker?.identity.pid,
      uptimeMs: Math.round(worker?.uptimeMs ?? 0),
      connections: worker ? connections(worker.identity.workerId) : 0,
      memoryBytes: worker?.sample?.rssBytes ?? 0,
      load: worker?.sample?.utilization ?? 0,
      sample: worker?.sample,
      requests: this.#totals.requests.stats(),
      silentMs: worker?.silentMs ?? 0,
      restarts: this.#totals.restarts,
      crashes: this.#restarts.crashes,
      lastExit: this.#lastExit,
    };
  }

  #publicState(): SlotState {
    if (this.#state.kind === "running" && !this.#state.worker.isGone)
      return this.#state.worker.isReady ? "ready" : "starting";
    // Of one that is gone, the last words may still be on their way.
    if (this.#state.kind === "running" || this.#state.kind === "held") return "waiting";
    if (this.#state.kind === "empty" || this.#state.kind === "closed") return "ending";
    return this.#state.kind;
  }

  #forgetTimer(): void {
    if (this.#state.kind === "waiting") clearTimeout(this.#state.timer);
  }

  #settle(worker: WorkerProcess): void {
    if (this.#state.kind === "closed") return;
    this.#state = { kind: "running", worker };
    if (worker.isGone) void worker.exited.then((exit) => this.#hooks.onExit(worker, exit));
    this.#hooks.onChange();
  }

  #followUp({ reason, uptimeMs }: WorkerExit): void {
    // One that was told to end and is still here was new, and its order was given up.
    const isNoFault = reason === "left" || reason === "retired" || reason === "overdue";
    const delayMs = isNoFault ? this.#restarts.onLeft(uptimeMs) : this.#restarts.onCrash(uptimeMs);
    if (delayMs === undefined) this.#state = { kind: "given-up" };
    else this.#state = { kind: "waiting", timer: setTimeout(() => this.#restart(), delayMs) };
  }

  #restart(): void {
    this.#totals.restarts++;
    this.start();
  }
}
