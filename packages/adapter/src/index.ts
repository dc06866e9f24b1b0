/** The public names of `@holdfast/adapter`. Runs in: primary and workers. */
export type { AdapterDiagnostics } from "./diagnostics.js";
export { HoldfastError, type HoldfastErrorCode, RequestError } from "./errors.js";
export { type AdapterMaker, createAdapter } from "./host/create-adapter.js";
export type { Emitter, EmitterOptions } from "./host/emitter.js";
export { type Primary, setupPrimary } from "./host/primary.js";
export type { HostDirectory, OtherHost } from "./host-directory.js";
export type { MemberInfo } from "./member-info.js";
export type { AdapterOptions, BackplaneOption, PrimaryOptions } from "./options.js";
export { HoldfastAdapter } from "./socketio/adapter.js";
export { createMover, type MovableSession, type MoveObstacle, type Mover } from "./socketio/mover.js";
export type {
  DeclineReason,
  HostStats,
  HostsStats,
  HubStats,
  HubTotals,
  LateJoinStats,
  MemberStats,
  PrimaryEvents,
  PrimaryStats,
  ProcessStats,
  RecoveryStats,
  RestoreStats,
} from "./stats.js";
