/**
 * A place in the cluster: one worker after another.
 * Owns: its worker, and the timer of the next one. Runs in: primary.
 */
import type { SlotState, SlotStatus, WorkerExit } from "../status.js";
import { type RestartLimits, Restarts } from "./restarts.js";
import type { SlotTotals } from "./slot-totals.js";
import type { WorkerProcess } from "./worker-process.js";

export interface SlotHooks {
  /** Starts a worker for that place. */
  fork(slot: number): WorkerProcess;
  /** A worker has ended that nobody had asked to; `delayMs` is `undefined` if there will be no other. */
  onCrash(exit: WorkerExit, delayMs: number | undefined): void;
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

  get crashes(): number {
    return this.#restarts.crashes;
  }

  start(): void {
    // Whoever hears of the fork may close the slot.
    if (this.#state.kind !== "closed") this.#settle(this.#hooks.fork(this.number));
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
    if (this.#state.kind === "held") this.#onCrash(this.#state.exit);
  }

  /** Looks after nobody any more. Returns the worker that was there; it goes on. */
  close(): WorkerProcess | undefined {
    const { worker } = this;
    this.#forgetTimer();
    this.#state = { kind: "closed" };
    this.#isHeld = false;
    return worker;
  }

  status(connections: (workerId: number) => number): SlotStatus {
    const { worker } = this;
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
    if (this.#state.kind === "running") return this.#state.worker.isReady ? "ready" : "starting";
    if (this.#state.kind === "held") return "waiting";
    if (this.#state.kind === "empty" || this.#state.kind === "closed") return "ending";
    return this.#state.kind;
  }

  #forgetTimer(): void {
    if (this.#state.kind === "waiting") clearTimeout(this.#state.timer);
  }

  #settle(worker: WorkerProcess): void {
    if (this.#state.kind === "closed") return;
    this.#state = { kind: "running", worker };
    void worker.exited.then((exit) => this.#onExit(worker, exit));
  }

  #onExit(worker: WorkerProcess, exit: WorkerExit): void {
    if (this.worker !== worker) return;
    if (!this.#isHeld) return this.#onCrash(exit);
    this.#lastExit = exit;
    this.#state = { kind: "held", exit };
  }

  #onCrash(exit: WorkerExit): void {
    this.#lastExit = exit;
    const { reason, uptimeMs } = exit;
    const delayMs = reason === "left" ? this.#restarts.onLeft(uptimeMs) : this.#restarts.onCrash(uptimeMs);
    if (delayMs === undefined) this.#state = { kind: "given-up" };
    else this.#state = { kind: "waiting", timer: setTimeout(() => this.#restart(), delayMs) };
    this.#hooks.onCrash(exit, delayMs);
  }

  #restart(): void {
    this.#totals.restarts++;
    this.start();
  }
}
