/** What the handle of `startCluster()` tells: status and events. Types only. Runs in: primary. */
import type { ListenAddress } from "./address.js";
import type { HoldfastError } from "./errors.js";
import type { ProcessSample } from "./process-health.js";
import type { ReloadProgress, ReloadResult } from "./reload.js";
import type { RequestStats } from "./request-stats.js";

/** What a place in the cluster is doing. */
export type SlotState =
  /** Its worker has been started and is not ready yet. */
  | "starting"
  /** Its worker takes connections. */
  | "ready"
  /** Its worker has crashed and is started again soon. */
  | "waiting"
  /** Its worker has crashed too often, and is not started again until the next reload. */
  | "given-up"
  /** It is being removed. */
  | "ending";

/** A worker, as events name it. */
export interface WorkerIdentity {
  /** Place in the cluster, counted from 0. A worker that replaces another one takes its place. */
  readonly slot: number;
  /** `cluster.worker.id`. */
  readonly workerId: number;
  /** Process id. */
  readonly pid: number;
}

/** Why a worker has ended. */
export type ExitReason =
  /** By itself: it crashed, called `process.exit()`, or somebody killed it. */
  | "crash"
  /** It never began: the system gave it no process. `lastWords` says why, with the system's code. */
  | "no-process"
  /** It was not ready within `readyTimeout` and was killed. */
  | "not-ready"
  /** Its event loop stood still for `hangTimeout` and it was killed. */
  | "hang"
  /** Somebody asked it to end with SIGTERM, and it has drained. */
  | "left"
  /** It was replaced, removed, or the cluster stopped. */
  | "retired"
  /** The same, but it did not end in time and was killed. */
  | "overdue";

/** The end of a worker. */
export interface WorkerExit extends Omit<WorkerIdentity, "pid"> {
  /** Process id; `undefined` if the system gave it no process. `workerId` may be 0 then. */
  readonly pid: number | undefined;
  /** Why it has ended. */
  readonly reason: ExitReason;
  /** Exit code, if it has exited. */
  readonly code: number | null;
  /** The signal that has ended it, if one has. */
  readonly signal: NodeJS.Signals | null;
  /** The end of what it wrote to stderr, at most 2000 characters; or why the system gave it no process. */
  readonly lastWords: string;
  /** How long it was ready. Milliseconds; 0 if it never was. */
  readonly uptimeMs: number;
}

/** A place in the cluster and its worker. */
export interface SlotStatus {
  /** Place in the cluster, counted from 0. */
  readonly slot: number;
  /** What it is doing. */
  readonly state: SlotState;
  /** `cluster.worker.id`; `undefined` while there is no worker. */
  readonly workerId: number | undefined;
  /** Process id; `undefined` while there is no worker. */
  readonly pid: number | undefined;
  /** How long its worker has been ready. Milliseconds. */
  readonly uptimeMs: number;
  /** Connections that are open there or on their way. */
  readonly connections: number;
  /** Memory of the process in bytes, as it said last. */
  readonly memoryBytes: number;
  /** How much of the time its event loop was busy lately, 0–1. */
  readonly load: number;
  /** What its process said of itself last, some time in the last second; `undefined` until it has. */
  readonly sample: ProcessSample | undefined;
  /**
   * What became of the requests (`fetchSockets()`, `serverSideEmit()` and others) that its workers have made of other
   * workers, those that are gone included. These never fall.
   */
  readonly requests: RequestStats;
  /** How long its event loop seems to have stood still. Milliseconds. */
  readonly silentMs: number;
  /** How often a worker was started anew here because the one before had ended unasked. */
  readonly restarts: number;
  /** Crashes in a row. */
  readonly crashes: number;
  /** The last end of a worker here that was not asked for. */
  readonly lastExit: WorkerExit | undefined;
}

/** What `status()` returns. */
export interface ClusterStatus {
  /** What the cluster is called. */
  readonly name: string;
  /** Whether it is starting, running, stopping or over. */
  readonly state: ClusterState;
  /** Process id of the primary. */
  readonly pid: number;
  /** How the primary's process was in the last second. */
  readonly sample: ProcessSample;
  /** Where it listens; `undefined` while it does not. */
  readonly address: ListenAddress | undefined;
  /** The file that the workers run. */
  readonly worker: string;
  /** How long ago it was started. Milliseconds. */
  readonly uptimeMs: number;
  /** How often it was reloaded. */
  readonly reloads: number;
  /** The reload that is going on, if one is. */
  readonly reload: ReloadProgress | undefined;
  /** The places in the cluster, in their order. */
  readonly slots: readonly SlotStatus[];
}

/** Whether a cluster is starting, running, stopping or over. */
export type ClusterState = "starting" | "running" | "stopping" | "stopped";

/** Events of the handle. */
export interface ClusterEvents {
  /** A worker's process was started. */
  "worker:start": [worker: WorkerIdentity];
  /** A worker takes connections. */
  "worker:ready": [worker: WorkerIdentity];
  /** A worker's process has ended, as asked or not: see `reason`. */
  "worker:exit": [exit: WorkerExit];
  /** A place in the cluster was given up: its worker has crashed too often. */
  "worker:abandoned": [exit: WorkerExit];
  /** A reload goes on. */
  "reload:progress": [progress: ReloadProgress];
  /** All workers were replaced. */
  "reload:done": [result: ReloadResult];
  /** A reload was given up; those workers that were not replaced go on. */
  "reload:failed": [error: HoldfastError];
  /** No worker is left, and none is started again (`HOLDFAST_ERR_CRASH_LOOP`). The cluster stops. */
  failed: [error: HoldfastError];
  /** The cluster has begun to stop. */
  stopping: [];
  /** Everything has ended. */
  stopped: [result: StopResult];
  /** Something is wrong, but the cluster can go on, such as `HOLDFAST_ERR_CONTROL_SOCKET`. */
  warning: [error: Error];
}

/** What `stop()` resolves with. */
export interface StopResult {
  /** Workers that did not end in time and were killed. */
  readonly killed: number;
}
