/** Moving live sessions to other workers: what users give and get. Runs in: primary and workers. */
import type { Duplex } from "node:stream";

/** A session that lives in a worker, as `@holdfast/adapter` offers it. */
export interface MovableSession {
  /** Its Engine.IO id, which its requests have. */
  readonly id: string;
  /** The TCP connection beneath its WebSocket; undefined while its client polls. */
  readonly socket: Duplex | undefined;
  /** Why it cannot be moved; undefined if it can. */
  readonly obstacle: string | undefined;
  /**
   * Takes the session out for that worker, so that nothing is read from or written to `socket` here any more. Requests of
   * a session without `socket` wait from the call on, until it is up there, or stays.
   * @returns what `land()` of the other worker's mover needs; undefined if the session stays
   */
  depart(workerId: number): Promise<Uint8Array | undefined>;
  /** The connection has left; a poll that waits is answered with nothing. */
  onLeft(): void;
  /** The connection was lost after `depart()`. */
  onLost(): void;
  /** Ends it, so that its client comes back. */
  close(): void;
  /** Ends it at once, with nothing said. */
  cut(): void;
}

/** What takes sessions out of a worker and brings them up in another: `createMover(io)` of `@holdfast/adapter`. */
export interface Mover {
  /** The sessions of this worker. */
  sessions(): MovableSession[];
  /**
   * Brings a session up.
   * @param state what `depart()` gave
   * @param unread bytes that were read of the connection and not used
   * @param socket undefined if the session has come without a connection
   * @returns whether it is up; otherwise the connection is closed
   */
  land(state: Uint8Array, unread: Uint8Array, socket: Duplex | undefined): Promise<boolean>;
}

/** Names a worker of `node:cluster`: what `cluster.fork()` returns. */
export interface WorkerLike {
  readonly id: number;
}

/**
 * The worker that gets the sessions of another one, or several that get them in turn. Sessions whose clients poll all go to
 * the first, so that their requests can follow them.
 */
export type Successors = WorkerLike | readonly WorkerLike[];

/** Options of the primary's `retire()`. */
export interface RetireOptions {
  /**
   * How many sessions move at the same time. More take less time altogether, and each waits longer. Integer, 1–1000.
   * @default 4
   */
  window?: number;
  /**
   * How long sessions that cannot be moved may stay, from when all others have moved; then they are closed, and their clients come back and recover.
   * Milliseconds, integer, 0–2147483647.
   * @default 30000
   */
  drainTimeout?: number;
  /**
   * Over how long they are closed, so that the clients do not all come back at once. Milliseconds, integer, 0–2147483647.
   * @default 5000
   */
  spread?: number;
  /**
   * Is told about four times a second how far it is.
   * @default undefined
   */
  onProgress?: (progress: MoveProgress) => void;
}

/** Options of the primary's `rebalance()`. */
export interface RebalanceOptions {
  /**
   * How many sessions of a worker move at the same time. Integer, 1–1000.
   * @default 4
   */
  window?: number;
}

/** Options of the primary's `moveSessions()`. */
export interface MoveOptions {
  /**
   * How many sessions move at the same time. Integer, 1–1000.
   * @default 4
   */
  window?: number;
  /**
   * How many sessions are to move. Integer, 0–2147483647.
   * @default 2147483647
   */
  count?: number;
  /**
   * Ends it early: sessions that are on their way arrive, the others stay.
   * @default undefined
   */
  signal?: AbortSignal;
  /**
   * Is told about four times a second how far it is.
   * @default undefined
   */
  onProgress?: (progress: MoveProgress) => void;
}

/** How far `retire()` or `moveSessions()` is. */
export interface MoveProgress {
  /** Sessions that live at other workers by now. */
  readonly moved: number;
  /** Sessions that were there when it was last tried, and that were moved or lost before. */
  readonly total: number;
}

/** How moving sessions has ended; see {@link MoveResult}. */
export type MoveOutcome =
  | "done"
  | "worker-gone"
  | "worker-silent"
  | "successor-gone"
  | "successor-silent"
  | "router-closed";

/** What came of moving the sessions of a worker. */
export interface MoveResult {
  /**
   * - `"done"`: no session is left there, nor an answer in progress, so that the process can be ended. It does not wait
   *   for answers of which none ends within 3 s. Of `moveSessions()` and `rebalance()`: enough have moved.
   * - `"worker-gone"`: the worker has ended before.
   * - `"worker-silent"`: the worker does not say how it goes. If it can, it keeps what has not moved, and it gets new
   *   connections again.
   * - `"successor-gone"`: the other worker, or the last of them, has ended or closed its last server before. The first
   *   one keeps what has not moved, and gets new connections again.
   * - `"successor-silent"`: a worker that gets sessions does not bring them up. It is like after `"successor-gone"`.
   * - `"router-closed"`: `close()` of the last router of this process was called. The worker keeps what has not moved.
   */
  readonly outcome: MoveOutcome;
  /** Sessions that were there when it was last tried, and that were moved or lost before. */
  readonly total: number;
  /** Sessions that live at the other worker now; their clients have noticed nothing. */
  readonly moved: number;
  /** Sessions whose connection was lost on the way; their clients come back and can recover. */
  readonly lost: number;
  /** Sessions that could not be moved and were closed; likewise. */
  readonly closed: number;
  /**
   * Sessions that could not be moved when it was last tried, by what hindered them: `obstacle` of the mover, `"mover"` if
   * there is none, `"polling"` of clients that poll where only a part of the sessions moves, `"relayed"` of WebSockets
   * that came here and whose sessions are other workers', if their TLS ends here, a third worker has passed them on, or only
   * a part of the sessions moves; or `"busy"`.
   */
  readonly left: Readonly<Record<string, number>>;
}
