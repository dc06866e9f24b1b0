export { HoldfastError, type HoldfastErrorCode, type MemberInfo, RequestError } from "./errors.js";
export type { Emitter, EmitterOptions } from "./host/emitter.js";
export {
  type MemberStats,
  type Primary,
  type PrimaryEvents,
  type PrimaryStats,
  setupPrimary,
} from "./host/primary.js";
export type { RecoveryStats } from "./hub/recovery.js";
export type { AdapterOptions, PrimaryOptions } from "./options.js";
export { createAdapter, HoldfastAdapter } from "./socketio/adapter.js";
