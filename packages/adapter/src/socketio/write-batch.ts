/**
 * Makes what belongs together leave together: one `writev` of a WebSocket, one payload of a poll.
 * Owns: the connections that are held back, and those whose sockets gather. Runs in: workers.
 *
 * A WebSocket that is at rest is written to past Engine.IO, which costs as much again as the system's call, and its
 * socket gathers. For all others the engine does: it sends the first packet at once and gathers the rest until the next
 * tick. While one chunk of frames from the hub is handled, everything gathers, in order with whatever the application
 * writes meanwhile, and goes when the chunk is done. What this worker's own application broadcasts leaves as the engine
 * would have it leave: the first packet at once, the rest of the turn together. No timer is involved.
 *
 * Before anything but a broadcast leaves for a client, the hub gets what the application has sent to other workers, and
 * what has become of sessions: a worker may be killed at any moment, and what a client was told to be done must not end
 * with it. Broadcasts do not wait for that: each worker would get, and write, the first of a turn by itself.
 */
import type { Duplex } from "node:stream";
import { runApplication } from "../faults.js";
import type { Connection, EngineServer } from "./private-fields.js";
import {
  flushConnection,
  holdConnection,
  interceptClose,
  isHeld,
  rawSocketOf,
  restingSocketOf,
  tellDrained,
} from "./private-fields.js";

/** So many packets of a chunk go before the others. */
const FIRST_PACKETS = 512;
/** Of "flush" and "drain", for each engine. */
const OWN_LISTENERS = 1;

const held = new Set<Connection>();
const gathering: Connection[] = [];
/** Each sends what this turn has done for others, or with sessions. */
const senders = new Set<() => void>();
let holding = false;
/** To which a broadcast is being written by way of the engine. */
let broadcasting: Connection | undefined;
let packets = 0;

/** Runs `work`; what is written to connections meanwhile leaves when it is done. */
export function batchWrites(work: () => void): void {
  holding = true;
  packets = 0;
  try {
    work();
  } finally {
    holding = false;
    release();
  }
}

/**
 * Writes the frames of a packet past the engine, if that makes no difference to anybody.
 * @returns whether it did; otherwise it is for the engine
 */
export function writeFrames(connection: Connection, frames: readonly Buffer[]): boolean {
  const socket = restingSocketOf(connection, OWN_LISTENERS);
  if (!socket) return false;
  const gathers = socket.writableCorked > 0;
  // The engine gathers for clients that read slowly, and knows of it.
  if (!gathers && socket.writableLength > 0) return false;
  if (gathers) writeAll(socket, frames);
  else if (holding) gatherFrom(connection, socket, frames);
  else gatherAfter(connection, socket, frames);
  count();
  return true;
}

function gatherFrom(connection: Connection, socket: Duplex, frames: readonly Buffer[]): void {
  gathering.push(connection);
  socket.cork();
  writeAll(socket, frames);
}

function gatherAfter(connection: Connection, socket: Duplex, frames: readonly Buffer[]): void {
  if (frames.length > 1) socket.cork();
  writeAll(socket, frames);
  if (frames.length > 1) socket.uncork();
  gathering.push(connection);
  socket.cork();
  if (gathering.length === 1) process.nextTick(release);
}

function writeAll(socket: Duplex, frames: readonly Buffer[]): void {
  for (let i = 0; i < frames.length; i++) socket.write(frames[i]);
}

/**
 * Writes a packet to the connection by way of the engine.
 * @param run runs `write`, and with it listeners of the engine's events
 */
export function writeByEngine(connection: Connection, write: () => void, run: typeof runApplication): void {
  hold(connection);
  // A listener of the engine's events may broadcast as well.
  const outer = broadcasting;
  broadcasting = connection;
  try {
    run(write);
  } finally {
    broadcasting = outer;
  }
}

function hold(connection: Connection): void {
  if (!holding) return;
  count();
  if (connection.transport.writable) {
    holdConnection(connection);
    held.add(connection);
  }
}

/** The first should not wait for all of a large chunk; the others may. */
function count(): void {
  if (holding && ++packets === FIRST_PACKETS) release();
}

/** Whether a volatile packet may go: the connection takes packets, now or when it is let go. */
export function isWritable(connection: Connection): boolean {
  if (held.has(connection)) return true;
  // What was written past the engine may wait without its knowing.
  return connection.transport.writable && (rawSocketOf(connection)?.writableLength ?? 0) === 0;
}

function release(): void {
  forEach(gathering.splice(0), endGathering);
  forEach(held, letGo);
  held.clear();
}

/** Listeners of the application run in these; whatever one throws, the other connections go on. */
function forEach(connections: Iterable<Connection>, run: (connection: Connection) => void): void {
  for (const connection of connections) runApplication(() => run(connection));
}

function endGathering(connection: Connection): void {
  rawSocketOf(connection)?.uncork();
  tellDrained(connection, OWN_LISTENERS);
}

function letGo(connection: Connection): void {
  if (isHeld(connection)) flushConnection(connection);
}

const engines = new WeakSet<EngineServer>();

/**
 * From now on, several packets that the engine flushes to a WebSocket are one `writev`, and a connection that is
 * closed while it is held takes along what has gathered.
 * @param send sends what this turn has done for others, or with sessions
 */
export function batchWritesOf(engine: EngineServer, send: () => void): void {
  senders.add(send);
  if (engines.has(engine)) return;
  engines.add(engine);
  for (const connection of Object.values(engine.clients ?? {})) releaseOnClose(connection);
  engine.on("connection", releaseOnClose);
  const flushing = new Set<Connection>();
  const uncork = (connection: Connection) => {
    if (flushing.delete(connection)) rawSocketOf(connection)?.uncork();
  };
  // The engine emits both around the transport's send(), within one call.
  engine.on("flush", (connection, buffer) => {
    if (connection !== broadcasting) for (const each of senders) each();
    if (buffer.length === 1 || flushing.has(connection)) return;
    flushing.add(connection);
    rawSocketOf(connection)?.cork();
    // Where a listener of the application throws, "drain" does not come.
    process.nextTick(uncork, connection);
  });
  engine.on("drain", uncork);
}

function releaseOnClose(connection: Connection): void {
  interceptClose(connection, onClose);
}

function onClose(connection: Connection, close: () => void): void {
  if (held.delete(connection) && isHeld(connection)) flushConnection(connection);
  close();
}
