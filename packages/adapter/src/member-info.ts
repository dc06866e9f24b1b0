/** How events, statistics and errors name a worker. Types only. Runs in: primary and workers. */

/** A worker as requests name it. */
export interface MemberInfo {
  /** Identifies one membership: never used twice while the primary lives. */
  readonly id: number;
  /** `cluster.worker.id`. */
  readonly workerId: number;
  /** Process id. */
  readonly pid: number;
}
