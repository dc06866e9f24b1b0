/** What tests and benches stand on: processes, steered and watched from outside. */
export {
  type Answer,
  type Call,
  ControlChannel,
  type ControlMessage,
  type Hello,
  type Notice,
  packError,
  unpackError,
} from "./control-channel.js";
export { findProgram, type Wanted } from "./find-program.js";
export { within } from "./within.js";
