/** The public names of `@holdfast/cluster`. Runs in: primary and workers. */
export type { ListenAddress } from "./address.js";
export { HoldfastError, type HoldfastErrorCode } from "./errors.js";
export type { AdminOptions, ClusterOptions, JoinOptions, StopOptions } from "./options.js";
export type { ProcessSample } from "./process-health.js";
export type {
  RebalanceResult,
  ReloadProgress,
  ReloadResult,
  ReloadStep,
  ScaleResult,
  SessionCounts,
} from "./reload.js";
export type { RequestResult, RequestStats } from "./request-stats.js";
export type {
  ClusterEvents,
  ClusterState,
  ClusterStatus,
  ExitReason,
  SlotState,
  SlotStatus,
  StopResult,
  WorkerExit,
  WorkerIdentity,
} from "./status.js";
export { type Cluster, startCluster } from "./supervisor/start-cluster.js";
export { type ClusterMember, joinCluster, type SocketIoServer } from "./worker/join-cluster.js";
