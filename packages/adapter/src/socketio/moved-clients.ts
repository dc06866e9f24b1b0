/**
 * Connections that have come from another worker and whose sockets are being made.
 * Owns: nothing; it forgets with the connections. Runs in: workers.
 */
import type { Namespace } from "socket.io";
import type { Connection, MovedSocket } from "./private-fields.js";

/** By the names of their namespaces. */
const moved = new WeakMap<Connection, ReadonlyMap<string, MovedSocket>>();

/** Says with which sessions a connection has come. */
export function noteMoved(connection: Connection, sockets: ReadonlyMap<string, MovedSocket>): void {
  moved.set(connection, sockets);
}

/** All sockets are made: what its client asks for from now on is new. */
export function forgetMoved(connection: Connection): void {
  moved.delete(connection);
}

/** With which session of the namespace the connection has come, if it has. */
export function movedSocketOf({ name }: Namespace, connection: Connection): MovedSocket | undefined {
  return moved.get(connection)?.get(name);
}
