/** What a reload, a change of scale and a rebalancing tell. Types only. Runs in: primary, and the command line. */

/** How far a reload is. */
export interface ReloadProgress {
  /** Workers that are replaced so far. */
  readonly workersDone: number;
  /** Workers that are to be replaced. */
  readonly workers: number;
  /** Sessions that were moved so far, on all workers. */
  readonly moved: number;
  /** Sessions that were there to be moved so far, on all workers. */
  readonly total: number;
  /** What happens to the worker whose turn it is. */
  readonly step: ReloadStep;
  /** Its place in the cluster. */
  readonly slot: number;
}

/** What happens to the worker whose turn it is. */
export type ReloadStep =
  /** Its successor starts. */
  | "starting"
  /** Its live sessions move to the successor. */
  | "moving"
  /** What was not moved finishes, or is closed and comes back. */
  | "draining"
  /** It is gone. */
  | "done";

/** What became of the clients of workers that were replaced or removed. */
export interface SessionCounts {
  /** Sessions that went to another worker while their clients stayed connected. */
  readonly moved: number;
  /**
   * Sessions that were closed, or cut off by the end of their worker; their clients come back, and recover with
   * `connectionStateRecovery`.
   */
  readonly closed: number;
  /** Workers that did not end in time and were killed. */
  readonly killed: number;
}

/** What `reload()` resolves with. */
export interface ReloadResult extends SessionCounts {
  /** Workers that were replaced. */
  readonly workers: number;
  /** How long it took. Milliseconds. */
  readonly durationMs: number;
}

/** What `scale()` resolves with. */
export interface ScaleResult extends SessionCounts {
  /** Workers that there were before. */
  readonly before: number;
  /** Workers that there are now. */
  readonly after: number;
}

/** What `rebalance()` resolves with. */
export interface RebalanceResult {
  /** Sessions that went to another worker. */
  readonly moved: number;
  /** Connections of each worker afterwards, in the order of their slots. */
  readonly connections: readonly number[];
  /** Why nothing could be moved, in words; `undefined` if it could. */
  readonly reason: string | undefined;
}
