/** Options of broadcasts and operations, as Socket.IO gives them to an adapter. Runs in: workers, primary. */
import type { BroadcastFlags, BroadcastOptions, Room } from "socket.io-adapter";
import type { Selection } from "../member/port-contract.js";

/** Nothing is optional any more; `timeout` among the flags comes from `io.timeout()`. */
export interface CompleteOptions extends Selection {
  readonly flags: BroadcastFlags;
}

export const NO_ROOMS: Set<Room> = new Set();
export const NO_FLAGS: BroadcastFlags = {};

export function complete({ rooms, except, flags }: BroadcastOptions): CompleteOptions {
  return { rooms, except: except ?? NO_ROOMS, flags: flags ?? NO_FLAGS };
}
