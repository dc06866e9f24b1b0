/**
 * The sockets of one room on this worker, and the room's key, which costs more to compute than to keep.
 * Runs in: workers.
 */
import type { SocketId } from "socket.io-adapter";

/** The key of a room that the hub has not been told of. */
export const UNREPORTED = -1;

export class RoomMembers extends Set<SocketId> {
  key = UNREPORTED;
}
