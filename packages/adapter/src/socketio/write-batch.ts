/**
 * Makes what belongs together leave together: one `writev` of a WebSocket, one payload of a poll.
 * Owns: the connections that are held back during one read of the link. Runs in: workers.
 *
 * Engine.IO sends the first packet at once and gathers the rest until the next tick. So while one chunk of
 * frames from the hub is handled, connections are held: their packets gather, in order with whatever the
 * application writes meanwhile, and go when the chunk is done. No timer is involved.
 */
import { throwUncaught } from "../faults.js";
import type { Connection, EngineServer } from "./private-fields.js";
import { flushConnection, holdConnection, interceptClose, isHeld, rawSocketOf } from "./private-fields.js";

/**
 * Held connections are let go after this many packets: the first should not wait for all of a large chunk.
 */
const MAX_PACKETS = 512;

const held = new Set<Connection>();
let holding = false;
let packets = 0;

/** Runs `work`, holding the connections that {@link hold} names until it is done. */
export function batchWrites(work: () => void): void {
  holding = true;
  try {
    work();
  } finally {
    holding = false;
    release();
  }
}

/** Call before a packet is written to the connection. */
export function hold(connection: Connection): void {
  if (!holding) return;
  if (++packets > MAX_PACKETS) release();
  if (connection.transport.writable) {
    holdConnection(connection);
    held.add(connection);
  }
}

/** Whether a volatile packet may go: the connection takes packets, now or when it is let go. */
export function isWritable(connection: Connection): boolean {
  return connection.transport.writable || held.has(connection);
}

function release(): void {
  packets = 0;
  for (const connection of held) {
    try {
      if (isHeld(connection)) flushConnection(connection);
    } catch (error) {
      // Listeners of the application run in here; the other connections go on.
      throwUncaught(error);
    }
  }
  held.clear();
}

const engines = new WeakSet<EngineServer>();
/** One function for all connections. */
const interceptors: Parameters<typeof interceptClose>[2] = new WeakMap();

/**
 * From now on, several packets that the engine flushes to a WebSocket are one `writev`, and a connection that is
 * closed while it is held takes along what has gathered.
 */
export function batchWritesOf(engine: EngineServer | undefined): void {
  if (!engine || engines.has(engine)) return;
  engines.add(engine);
  for (const connection of Object.values(engine.clients ?? {})) releaseOnClose(connection);
  engine.on("connection", releaseOnClose);
  // The engine emits both around the transport's send(), within one call.
  engine.on("flush", (connection, buffer) => {
    if (buffer.length > 1) rawSocketOf(connection)?.cork();
  });
  engine.on("drain", (connection) => {
    const socket = rawSocketOf(connection);
    if (socket && socket.writableCorked > 0) socket.uncork();
  });
}

function releaseOnClose(connection: Connection): void {
  interceptClose(connection, onClose, interceptors);
}

function onClose(connection: Connection, close: () => void): void {
  if (held.delete(connection) && isHeld(connection)) flushConnection(connection);
  close();
}
