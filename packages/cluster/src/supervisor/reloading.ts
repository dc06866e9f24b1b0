/**
 * One reload: a place after another gets a new worker, and the old one goes when that is ready.
 * Owns: its progress. Runs in: primary.
 *
 * A successor that fails ends the reload: its predecessor goes on, with the sessions that had not moved, and so do all
 * whose turn had not come. So a broken version of the application costs nothing but the places that have it already, and
 * those had become ready. A successor that has crashed when its predecessor is gone ends the reload as well, and is started
 * again like others.
 */
import { HoldfastError } from "../errors.js";
import type { ReloadProgress, ReloadResult, ReloadStep } from "../reload.js";
import type { ExitReason, WorkerExit } from "../status.js";
import type { Retirement, RetirementSettings } from "./retirement.js";
import type { Slot } from "./slot.js";
import type { WorkerProcess } from "./worker-process.js";

export interface ReloadHooks {
  fork(slot: number): WorkerProcess;
  retire(worker: WorkerProcess, onProgress: RetirementSettings["onProgress"]): Retirement;
  throwIfStopping(): void;
  onProgress(progress: ReloadProgress): void;
}

export class Reloading {
  readonly #slots: readonly Slot[];
  readonly #hooks: ReloadHooks;
  readonly #startedAt = performance.now();
  #workersDone = 0;
  #moved = 0;
  #total = 0;
  #closed = 0;
  #killed = 0;
  readonly #makesWay: AbortSignal;

  /** @param makesWay ends it before the next successor is ready. Sessions that have begun to move do that first */
  constructor(slots: readonly Slot[], makesWay: AbortSignal, hooks: ReloadHooks) {
    this.#slots = [...slots];
    this.#makesWay = makesWay;
    this.#hooks = hooks;
  }

  /** @throws {HoldfastError} `HOLDFAST_ERR_WORKER_FAILED`, `HOLDFAST_ERR_OVERTAKEN`, `HOLDFAST_ERR_CLOSED` */
  async run(): Promise<ReloadResult> {
    for (const slot of this.#slots) {
      this.#throwIfEnded();
      await this.#replace(slot);
    }
    return {
      workers: this.#workersDone,
      moved: this.#moved,
      closed: this.#closed,
      killed: this.#killed,
      durationMs: Math.round(performance.now() - this.#startedAt),
    };
  }

  async #replace(slot: Slot): Promise<void> {
    this.#tell("starting", slot);
    const successor = await this.#startSuccessor(slot);
    const old = slot.adopt(successor);
    if (old) await this.#retire(slot, old, successor);
    this.#workersDone++;
    this.#tell("done", slot);
  }

  async #startSuccessor(slot: Slot): Promise<WorkerProcess> {
    // Whoever hears of the progress may stop the cluster.
    this.#throwIfEnded();
    const successor = this.#hooks.fork(slot.number);
    this.#makesWay.onabort = () => successor.makeWay();
    const isReady = await successor.settled;
    this.#makesWay.onabort = null;
    // Whoever hears that it is ready may stop the cluster: then nobody has been replaced.
    this.#hooks.throwIfStopping();
    if (isReady) return successor;
    const exit = await successor.exited;
    this.#throwIfEnded();
    throw this.#failure(slot, describe(exit));
  }

  #throwIfEnded(): void {
    this.#hooks.throwIfStopping();
    if (!this.#makesWay.aborted) return;
    throw new HoldfastError(
      "HOLDFAST_ERR_OVERTAKEN",
      `A file has changed, so this reload made way for a newer one. ${this.#howFar}`,
    );
  }

  async #retire(slot: Slot, old: WorkerProcess, successor: WorkerProcess): Promise<void> {
    const [movedBefore, totalBefore] = [this.#moved, this.#total];
    const retirement = this.#hooks.retire(old, (step, moved, total) => {
      this.#moved = movedBefore + moved;
      this.#total = totalBefore + total;
      this.#tell(step, slot);
    });
    // Whoever was started in place of a successor that fails would get clients, and be ended when the old one goes on.
    slot.hold();
    try {
      if (!(await retirement.move([successor]))) await this.#rollBack(slot, old, successor);
    } finally {
      slot.release();
    }
    const counts = await retirement.end();
    this.#moved = movedBefore + counts.moved;
    this.#total = totalBefore + counts.moved + counts.closed;
    this.#closed += counts.closed;
    this.#killed += counts.killed;
    // It may have ended by that.
    this.#hooks.throwIfStopping();
    await this.#throwIfFailed(slot, successor);
  }

  /** Who has crashed by now is no better than one that was never ready, and so would be those of the other places. */
  async #throwIfFailed(slot: Slot, successor: WorkerProcess): Promise<void> {
    if (!successor.isGone) return;
    const exit = await successor.exited;
    this.#hooks.throwIfStopping();
    if (exit.reason !== "crash" && exit.reason !== "hang") return;
    throw this.#failure(slot, `${describe(exit)} when the old one had gone, and is started again`);
  }

  /** The successor has failed while sessions moved to it. */
  async #rollBack(slot: Slot, old: WorkerProcess, successor: WorkerProcess): Promise<never> {
    this.#hooks.throwIfStopping();
    slot.adopt(old);
    // It may hang.
    void successor.end(0);
    throw this.#failure(slot, describe(await successor.exited));
  }

  #tell(step: ReloadStep, slot: Slot): void {
    this.#hooks.onProgress({
      workersDone: this.#workersDone,
      workers: this.#slots.length,
      moved: this.#moved,
      total: this.#total,
      step,
      slot: slot.number,
    });
  }

  #failure(slot: Slot, why: string): HoldfastError {
    return new HoldfastError(
      "HOLDFAST_ERR_WORKER_FAILED",
      `The new worker for slot ${slot.number} ${why}. ${this.#howFar}`,
    );
  }

  get #howFar(): string {
    return `${this.#workersDone} of ${this.#slots.length} workers were replaced before; the others go on as they were.`;
  }
}

const HOW: Partial<Record<ExitReason, string>> = {
  "not-ready": "was not ready in time",
  overdue: "took no sessions",
  hang: "hung and was killed",
};

function describe({ reason, code, signal, lastWords }: WorkerExit): string {
  if (reason === "no-process") return `got no process: ${lastWords}`;
  const how = HOW[reason] ?? `ended with ${signal ?? `exit code ${code}`}`;
  return lastWords === "" ? how : `${how}, saying "${lastWords}"`;
}
