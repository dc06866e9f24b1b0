/** The public names of `@holdfast/sticky`. Runs in: primary and workers. */
export type { FailureStage, StickyDiagnostics } from "./diagnostics.js";
export { HoldfastError, type HoldfastErrorCode } from "./errors.js";
export type { HostDirectory, OtherHost } from "./hosts.js";
export type {
  MovableSession,
  MoveOptions,
  MoveOutcome,
  MoveProgress,
  MoveResult,
  Mover,
  RebalanceOptions,
  RetireOptions,
  Successors,
  WorkerLike,
} from "./moves.js";
export type {
  ConnectionInfo,
  DrainOptions,
  ForwardedHeader,
  HostTlsOptions,
  LoadBalancingMethod,
  PrimaryOptions,
  WorkerInfo,
  WorkerOptions,
} from "./options.js";
export { type StickyPrimary, setupPrimary, setupPrimary as setupMaster } from "./primary/set-up.js";
export type {
  DurationStats,
  HostWayStats,
  MoveStats,
  PrimaryEvents,
  PrimaryStats,
  RefusalReason,
  RequestRefusalReason,
  SessionEndReason,
  SessionStats,
  SlotStats,
  TransportName,
  WorkerEvents,
  WorkerProcessStats,
  WorkerStats,
} from "./stats.js";
export { type SocketIoServer, type StickyWorker, setupWorker } from "./worker/set-up.js";
