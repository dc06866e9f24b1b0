/**
 * A worker goes: its live sessions move, what is left is drained, its process ends.
 * Owns: the time that it may be silent while it moves them. Runs in: primary.
 */
import type { SessionCounts } from "../reload.js";
import type { MovedSessions, MoveSessions } from "./moves.js";
import type { WorkerProcess } from "./worker-process.js";

/** A worker that moves sessions says how it goes several times a second. */
const MIN_SILENT_MS = 2_000;

export interface RetirementSettings {
  readonly drainTimeoutMs: number;
  /** How many connections are open there. */
  connections(): number;
  readonly move: MoveSessions;
  /** Told when it begins to move and to drain, and how far the moves are. */
  onProgress(step: "moving" | "draining", moved: number, total: number): void;
}

export class Retirement {
  readonly #worker: WorkerProcess;
  readonly #settings: RetirementSettings;
  #moves: MovedSessions = NOTHING_MOVED;
  /** Connections that were open there before the first session moved: not all of them need have been sessions'. */
  #before = 0;

  constructor(worker: WorkerProcess, settings: RetirementSettings) {
    this.#worker = worker;
    this.#settings = settings;
  }

  /**
   * Moves its sessions.
   * @param to the workers that they go to
   * @returns false if none of those lives any more: then the worker may go on as before
   */
  async move(to: readonly WorkerProcess[]): Promise<boolean> {
    if (to.length === 0 || !this.#worker.isReady) return true;
    this.#before = this.#settings.connections();
    this.#settings.onProgress("moving", 0, this.#before);
    this.#moves = await this.#moved(to);
    return this.#moves.outcome !== "kept";
  }

  /** Ends it. */
  async end(): Promise<SessionCounts> {
    const { drainTimeoutMs, connections, onProgress } = this.#settings;
    const { moved } = this.#moves;
    const closed = this.#moves.closed + this.#left(connections());
    onProgress("draining", moved, moved + closed);
    const { reason } = await this.#worker.end(drainTimeoutMs);
    return { moved, closed, killed: reason === "overdue" ? 1 : 0 };
  }

  /** Sessions that are neither moved nor closed. @param open how many connections are open there now */
  #left(open: number): number {
    const { total, moved, closed, outcome } = this.#moves;
    // What is left when all have moved are requests, which are finished.
    if (outcome === "done") return 0;
    // They were cut off.
    if (outcome === "gone") return Math.max(0, (total || this.#before) - moved - closed);
    return open;
  }

  /** What has moved when no more does, or when the worker says nothing any more. */
  async #moved(to: readonly WorkerProcess[]): Promise<MovedSessions> {
    const { move, drainTimeoutMs, onProgress } = this.#settings;
    let moves = NOTHING_MOVED;
    let timer: NodeJS.Timeout | undefined;
    const silence = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, Math.max(drainTimeoutMs, MIN_SILENT_MS));
    });
    const result = move({
      from: this.#worker.worker,
      to: to.map(({ worker }) => worker),
      onProgress: ({ moved, total }) => {
        timer?.refresh();
        moves = { ...moves, total, moved };
        onProgress("moving", moved, total);
      },
    });
    const told = await Promise.race([result, silence]);
    clearTimeout(timer);
    // What has left a worker that is gone may still be on its way.
    return told ?? (this.#worker.isGone ? result : moves);
  }
}

const NOTHING_MOVED: MovedSessions = { total: 0, moved: 0, closed: 0, outcome: "left" };
