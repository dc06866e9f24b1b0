/**
 * What has come of moves, on its way to the workers that the sessions have left. A worker begins with as many others when it
 * hears of some, and what it says to the hub and hears from it about these goes in one piece.
 * Owns: what has not been told yet, and one timer for each worker of which there is some. Runs in: primary.
 */
import type { MoveEnd } from "../wire/move-messages.js";

/** How long a place in a worker's window may be free without its knowing. */
const LATEST_MS = 10;

interface Source {
  /** Of its sessions, how many are on their way. */
  underway: number;
  ends: MoveEnd[];
  timer: NodeJS.Timeout | undefined;
}

export class SettledMoves {
  readonly #send: (workerId: number, ends: readonly MoveEnd[]) => void;
  readonly #sources = new Map<number, Source>();

  constructor(send: (workerId: number, ends: readonly MoveEnd[]) => void) {
    this.#send = send;
  }

  /** A session has left the worker. */
  begin(workerId: number): void {
    const source = this.#sources.get(workerId);
    if (source) source.underway++;
    else this.#sources.set(workerId, { underway: 1, ends: [], timer: undefined });
  }

  /** It is up, or lost. The worker hears of it when half of its window is free, or as soon as one is lost. */
  end(workerId: number, end: MoveEnd): void {
    const source = this.#sources.get(workerId);
    if (!source) return;
    source.underway--;
    source.ends.push(end);
    if (!end.isUp || source.ends.length >= source.underway) return this.#flush(workerId, source);
    source.timer ??= setTimeout(() => this.#flush(workerId, source), LATEST_MS);
  }

  /** The worker is gone. */
  forget(workerId: number): void {
    clearTimeout(this.#sources.get(workerId)?.timer);
    this.#sources.delete(workerId);
  }

  #flush(workerId: number, source: Source): void {
    clearTimeout(source.timer);
    source.timer = undefined;
    const { ends } = source;
    source.ends = [];
    if (source.underway === 0) this.#sources.delete(workerId);
    this.#send(workerId, ends);
  }
}
