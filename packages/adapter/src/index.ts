export { createAdapter, HoldfastAdapter } from "./adapter.js";
export type { Emitter, EmitterOptions } from "./emitter.js";
export { HoldfastError, type HoldfastErrorCode, type MemberInfo, RequestError } from "./errors.js";
export type { RecoveryStats } from "./hub-recovery.js";
export type { AdapterOptions, PrimaryOptions } from "./options.js";
export {
  type MemberStats,
  type Primary,
  type PrimaryEvents,
  type PrimaryStats,
  setupPrimary,
} from "./primary.js";
