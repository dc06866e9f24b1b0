/**
 * A worker goes: its live sessions move, what is left is drained, its process ends.
 * Owns: the time that the move may take. Runs in: primary.
 */
import type { MoveSessions, SessionCounts } from "../reload.js";
import type { WorkerProcess } from "./worker-process.js";

export interface RetirementSettings {
  readonly drainTimeoutMs: number;
  /** How many connections are open there. */
  connections(): number;
  /** `undefined` if sessions cannot be moved. */
  readonly move: MoveSessions | undefined;
  /** Told when it begins to move and to drain, and how far the moves are. */
  onProgress(step: "moving" | "draining", moved: number, total: number): void;
}

export class Retirement {
  readonly #worker: WorkerProcess;
  readonly #settings: RetirementSettings;

  constructor(worker: WorkerProcess, settings: RetirementSettings) {
    this.#worker = worker;
    this.#settings = settings;
  }

  /** @param to the workers that its sessions may go to */
  async run(to: readonly WorkerProcess[]): Promise<SessionCounts> {
    const { drainTimeoutMs, connections, onProgress } = this.#settings;
    const open = connections();
    // While it moves, it is the router that gives it no new connections.
    const moved = await this.#move(to);
    this.#worker.retire();
    onProgress("draining", moved, Math.max(open, moved));
    const { reason } = await this.#worker.end(drainTimeoutMs);
    return { moved, closed: Math.max(0, open - moved), killed: reason === "overdue" ? 1 : 0 };
  }

  async #move(to: readonly WorkerProcess[]): Promise<number> {
    const { move, drainTimeoutMs, onProgress } = this.#settings;
    if (!move || to.length === 0 || !this.#worker.isReady) return 0;
    onProgress("moving", 0, 0);
    const time = new AbortController();
    const timer = setTimeout(() => time.abort(), drainTimeoutMs);
    void this.#worker.exited.then(() => time.abort());
    try {
      const { moved } = await move({
        from: this.#worker.worker,
        to: to.map(({ worker }) => worker),
        count: undefined,
        signal: time.signal,
        onProgress: ({ moved, total }) => onProgress("moving", moved, total),
      });
      return moved;
    } finally {
      clearTimeout(timer);
    }
  }
}
