/** `startCluster()`: the primary's entry. Runs in: primary. */

import cluster from "node:cluster";
import type { EventEmitter } from "node:events";
import type { Primary as Hub } from "@holdfast/adapter";
import type { StickyPrimary as Router } from "@holdfast/sticky";
import type { ListenAddress } from "../address.js";
import { HoldfastError } from "../errors.js";
import type { ClusterOptions, StopOptions } from "../options.js";
import { processWide } from "../process-wide.js";
import type { RebalanceResult, ReloadResult, ScaleResult } from "../reload.js";
import type { ClusterEvents, ClusterStatus, StopResult } from "../status.js";
import { resolveClusterOptions } from "./resolve-options.js";
import { RunningCluster } from "./running-cluster.js";

/** What `startCluster()` resolves with. */
export interface Cluster extends EventEmitter<ClusterEvents> {
  /** What the cluster is called. */
  readonly name: string;
  /** Where it listens; `undefined` while it does not. */
  readonly address: ListenAddress | undefined;
  /** Where the admin server and its dashboard are; `undefined` without the option `admin`. */
  readonly adminUrl: string | undefined;
  /** What `setupPrimary()` of `@holdfast/adapter` returned: `emitter()`, and `stats()` of the hub. */
  readonly hub: Hub;
  /** What `setupPrimary()` of `@holdfast/sticky` returned: `stats()` of the router. */
  readonly router: Router;
  /** What is going on now. */
  status(): ClusterStatus;
  /**
   * Replaces all workers, one after another: when the successor of one is ready, its live sessions move there, and it
   * finishes its requests. The file of the workers is read anew. Called while a reload goes on, it does one more after that.
   * @throws {HoldfastError} `HOLDFAST_ERR_WORKER_FAILED` if a new worker does not become ready, or dies before its
   * predecessor has ended: the others stay
   * @throws {HoldfastError} `HOLDFAST_ERR_CLOSED` when the cluster stops
   */
  reload(): Promise<ReloadResult>;
  /**
   * Changes the number of workers. Live sessions move to new ones, and away from those that are too many, which finish
   * their requests.
   * @param workers integer, 1–512
   * @throws {HoldfastError} `HOLDFAST_ERR_WORKER_FAILED` if a new worker does not become ready at the first try
   * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION`, `HOLDFAST_ERR_CLOSED`
   */
  scale(workers: number): Promise<ScaleResult>;
  /**
   * Moves live sessions from workers that have more than their share, until none has a tenth more than the average.
   * @throws {HoldfastError} `HOLDFAST_ERR_CLOSED` when the cluster stops
   */
  rebalance(): Promise<RebalanceResult>;
  /**
   * Stops to listen, lets the workers finish what they have begun, and ends everything. Calling it again returns the
   * same promise.
   * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION`
   */
  stop(options?: StopOptions): Promise<StopResult>;
}

/** The cluster of this process. */
const slot = processWide("cluster", () => ({ current: undefined as RunningCluster | undefined }));

/**
 * Runs a Socket.IO server on all cores: starts workers that run a file of yours, brings connections to them and
 * broadcasts between them, replaces those that die or hang, and looks after the process. Call it in a file of its own,
 * and `joinCluster(io)` in the file that the workers run. Resolves when the workers are ready and the port is open.
 *
 * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION` for an option of this function or of one of the two set-ups
 * @throws {HoldfastError} `HOLDFAST_ERR_NOT_PRIMARY` in a worker
 * @throws {HoldfastError} `HOLDFAST_ERR_ALREADY_SET_UP` while an earlier cluster of this process runs
 * @throws {HoldfastError} `HOLDFAST_ERR_WORKER_FILE` if the file of the workers is not there
 * @throws {HoldfastError} `HOLDFAST_ERR_NAME_TAKEN` if another cluster of this user has the name that is given
 * @throws {HoldfastError} `HOLDFAST_ERR_LISTEN` if its port or that of `admin` is in use, or cannot be opened
 * @throws {HoldfastError} `HOLDFAST_ERR_PRIVATE_DIRECTORY` of `@holdfast/sticky` if private sockets have no place
 * @throws {HoldfastError} `HOLDFAST_ERR_CRASH_LOOP` if no worker becomes ready
 * @throws {HoldfastError} `HOLDFAST_ERR_CLOSED` if it is stopped before that
 */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const running = prepareCluster(options);
  await running.start();
  return running;
}

/** The cluster before its `start()`: for those who may have to stop or hurry it meanwhile. Throws as {@link startCluster} rejects. */
export function prepareCluster(options: ClusterOptions): RunningCluster {
  if (!cluster.isPrimary) {
    throw new HoldfastError(
      "HOLDFAST_ERR_NOT_PRIMARY",
      "startCluster() was called in a worker. Call it in a file of its own: the file that the workers run calls " +
        "joinCluster(io).",
    );
  }
  const resolved = resolveClusterOptions(options);
  if (slot.current) {
    throw new HoldfastError(
      "HOLDFAST_ERR_ALREADY_SET_UP",
      "startCluster() was called before in this process. Keep the handle of the first call, or await its stop().",
    );
  }
  const running = new RunningCluster(resolved, () => {
    slot.current = undefined;
  });
  slot.current = running;
  return running;
}
