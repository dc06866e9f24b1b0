/**
 * The fields of Socket.IO and Engine.IO that are not in their public types and that the adapter needs. Those that only
 * a move needs are in `private-fields-engine.ts` and `private-fields-ws.ts`. Nothing else in this package reaches into
 * them; `private-fields.test.ts` fails when one moves.
 * Tried with socket.io 4.8 and engine.io 6.6. Runs in: workers.
 *
 * Longer than other files: all uses are in one place.
 */

import { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";
import type { Namespace, Server, Socket } from "socket.io";
import type { Room, SocketId } from "socket.io-adapter";
import { runApplication } from "../faults.js";

/** A packet of the Socket.IO protocol, before encoding. */
export interface Packet {
  type: number;
  data: unknown[];
  nsp?: string;
  id?: number;
}

/** "event" in Socket.IO's protocol. */
const EVENT = 2;

/** Whether the packet is an event that wants no acknowledgement. */
export function isPlainEvent({ type, id }: Packet): boolean {
  return type === EVENT && id === undefined;
}

/** Whether the packet is an event that wants an acknowledgement. */
export function wantsAck({ type, id }: Packet): boolean {
  return type === EVENT && id !== undefined;
}

/** What a Socket.IO parser makes of a packet: one part, or a text with binary attachments. */
export type EncodedPart = string | Uint8Array | ArrayBuffer;

interface Encoder {
  encode(packet: Packet): EncodedPart[];
}

interface Decoder {
  on(event: "decoded", listener: (packet: Packet) => void): void;
  add(part: string | Buffer): void;
}

interface Parser {
  readonly Decoder: new (options: { maxAttachments: number }) => Decoder;
}

/** Options that Engine.IO's WebSocket transport understands besides its public ones. */
export interface WriteOptions {
  volatile: boolean | undefined;
  compress: boolean | undefined;
  /** A complete WebSocket frame; written as it is where no compression was negotiated. */
  wsPreEncodedFrame?: Buffer[];
}

/** An Engine.IO connection. */
export interface Connection {
  readonly transport: { readonly writable: boolean };
  /** The revision of the Engine.IO protocol. */
  readonly protocol: number;
  write(data: string | Buffer, options: WriteOptions): void;
}

interface ConnectionEvents {
  on(event: "data" | "close", listener: () => void): void;
  off(event: "data" | "close", listener: () => void): void;
}

interface ConnectionPrivates {
  readonly readyState: string;
  readonly writeBuffer: readonly unknown[];
  readonly server: EngineServer & {
    listenerCount(event: "flush" | "drain"): number;
    emit(event: "drain", connection: Connection): void;
  };
  readonly transport: {
    readonly name: string;
    writable: boolean;
    readonly send: unknown;
    /** Whether it writes `wsPreEncodedFrame` as it is: a WebSocket of `ws` whose server does not compress does. */
    _canSendPreEncodedFrame?(packet: { options: Pick<WriteOptions, "wsPreEncodedFrame"> }): boolean;
    /** False for clients that asked for base64. */
    readonly supportsBinary: boolean;
    /** The `ws` object of a WebSocket transport. */
    readonly socket?: {
      readonly _socket?: Duplex | null;
    };
  };
  flush(): void;
  readonly write: unknown;
  readonly sendPacket: unknown;
  listenerCount(event: "packetCreate" | "flush" | "drain"): number;
  emit(event: "drain"): void;
}

/** An Engine.IO server; the events come right before and right after a transport's `send()`. */
export interface EngineServer {
  /** Its connections, by their ids. */
  readonly clients?: Readonly<Record<string, Connection>>;
  on(event: "connection", listener: (connection: Connection) => void): void;
  on(event: "flush", listener: (connection: Connection, buffer: readonly unknown[]) => void): void;
  on(event: "drain", listener: (connection: Connection) => void): void;
}

/** The server's encoder: the parser that the application chose. */
export function encoderOf(nsp: Namespace): Encoder {
  return (nsp.server as unknown as { encoder: Encoder }).encoder;
}

/**
 * Decodes what the server's parser encoded; undefined when it makes no packet of it.
 * @throws whatever the parser throws
 */
export function decodePacket(nsp: Namespace, parts: readonly (string | Buffer)[]): Packet | undefined {
  const { Decoder } = (nsp.server as unknown as { _parser: Parser })._parser;
  // By default, Socket.IO's takes ten attachments of a packet. That is for what clients send; this is one of ours.
  const decoder = new Decoder({ maxAttachments: Number.MAX_SAFE_INTEGER });
  let decoded: Packet | undefined;
  decoder.on("decoded", (packet) => {
    decoded = packet;
  });
  for (const part of parts) decoder.add(part);
  return decoded;
}

export function connectionOf(socket: Socket): Connection {
  return socket.client.conn as unknown as Connection;
}

/**
 * Whether binary goes to the connection as a WebSocket message of its own. Revision 3 puts a byte before it,
 * and clients without binary get base64.
 */
export function takesPlainBinary(connection: Connection): boolean {
  const { supportsBinary } = (connection as unknown as ConnectionPrivates).transport;
  return connection.protocol !== 3 && supportsBinary;
}

/** Makes the engine gather packets for the connection instead of sending them. */
export function holdConnection(connection: Connection): void {
  (connection as unknown as ConnectionPrivates).transport.writable = false;
}

/** Whether the connection that was held can still be let go. */
export function isHeld(connection: Connection): boolean {
  const { readyState, transport } = connection as unknown as ConnectionPrivates;
  return readyState !== "closed" && !transport.writable;
}

/** Lets go of a held connection: what was gathered is sent. */
export function flushConnection(connection: Connection): void {
  const { transport } = connection as unknown as ConnectionPrivates;
  transport.writable = true;
  (connection as unknown as ConnectionPrivates).flush();
}

/**
 * Makes the engine gather packets for the connection, over whatever transport, until the returned function is
 * called. The engine calls `flush()` by its name, for packets as for a transport that has become ready.
 */
export function gateConnection(connection: Connection): () => void {
  const gated = connection as unknown as { flush?: () => void };
  gated.flush = () => {};
  return () => {
    delete gated.flush;
    (connection as unknown as ConnectionPrivates).flush();
  };
}

/** The TCP socket below a WebSocket; undefined for other transports. */
export function rawSocketOf(connection: Connection): Duplex | undefined {
  return (connection as unknown as ConnectionPrivates).transport.socket?._socket ?? undefined;
}

const FRAMED = { options: { wsPreEncodedFrame: [] } };

/**
 * Whether the connection writes `wsPreEncodedFrame` and never looks at the data besides it, and nobody watches its
 * packets. That is what Engine.IO asks its transport before it writes: the fields that decide it have moved before. A
 * transport is upgraded to WebSocket, never back.
 */
export function writesFrames(connection: Connection): boolean {
  const { transport, listenerCount } = connection as unknown as ConnectionPrivates;
  return (
    transport._canSendPreEncodedFrame?.(FRAMED) === true &&
    listenerCount.call(connection, "packetCreate") === 0
  );
}

/**
 * The socket of a connection that {@link writesFrames} and is at rest: what is written to it now comes where it would
 * come by way of the engine, and nobody is there who would miss the engine's events.
 * @param ownListeners how many listeners of this package the engine has for each of its events
 */
export function restingSocketOf(connection: Connection, ownListeners: number): Duplex | undefined {
  const fields = connection as unknown as ConnectionPrivates;
  const isAtRest =
    fields.readyState === "open" && fields.transport.writable && fields.writeBuffer.length === 0;
  if (!isAtRest || !isAsMade(fields)) return undefined;
  const { server } = fields;
  const isWatched =
    fields.listenerCount("flush") > 0 ||
    fields.listenerCount("drain") > 0 ||
    server.listenerCount("flush") > ownListeners ||
    server.listenerCount("drain") > ownListeners;
  const socket = fields.transport.socket?._socket;
  return !isWatched && socket?.writable ? socket : undefined;
}

/** Whether the engine's own functions write: a gate has a `flush()` of its own, and an application may have others. */
function isAsMade(fields: ConnectionPrivates): boolean {
  const made = Object.getPrototypeOf(fields) as ConnectionPrivates;
  const { send } = Object.getPrototypeOf(fields.transport) as ConnectionPrivates["transport"];
  return (
    fields.flush === made.flush &&
    fields.write === made.write &&
    fields.sendPacket === made.sendPacket &&
    fields.transport.send === send
  );
}

/**
 * Says that what was written past the engine has been given to the socket, if somebody has begun to listen meanwhile and
 * the engine, which has nothing to send, will not say so itself.
 * @param ownListeners how many listeners of this package the engine has
 */
export function tellDrained(connection: Connection, ownListeners: number): void {
  const fields = connection as unknown as ConnectionPrivates;
  if (fields.readyState !== "open" || fields.writeBuffer.length > 0) return;
  const { server } = fields;
  if (fields.listenerCount("drain") > 0) fields.emit("drain");
  if (server.listenerCount("drain") > ownListeners) server.emit("drain", connection);
}

/** The Engine.IO server that the connection has come to: a Socket.IO server that was attached twice has two. */
export function engineOf(connection: Connection): EngineServer {
  return (connection as unknown as ConnectionPrivates).server;
}

export function hasOutgoingListeners(socket: Socket): boolean {
  const { _anyOutgoingListeners: listeners } = socket as unknown as { _anyOutgoingListeners?: unknown[] };
  return listeners !== undefined && listeners.length > 0;
}

export function notifyOutgoingListeners(socket: Socket, packet: Packet): void {
  (socket as unknown as { notifyOutgoingListeners(packet: Packet): void }).notifyOutgoingListeners(packet);
}

/** What the application set as `connectionStateRecovery`, and how long a dead connection may go unnoticed. */
export function recoveryOptionsOf(
  nsp: Namespace,
): { maxDisconnectionDuration: number; unnoticedMs: number } | undefined {
  const { opts } = nsp.server as unknown as { opts: RecoveryOptions };
  if (!opts.connectionStateRecovery) return undefined;
  const { maxDisconnectionDuration = 120_000 } = opts.connectionStateRecovery;
  return {
    maxDisconnectionDuration,
    unnoticedMs: (opts.pingInterval ?? 25_000) + (opts.pingTimeout ?? 20_000),
  };
}

interface RecoveryOptions {
  readonly connectionStateRecovery?: { readonly maxDisconnectionDuration?: number };
  readonly pingInterval?: number;
  readonly pingTimeout?: number;
}

/** The id by which a client proves that it is the same one; Socket.IO calls it `pid`. */
export function privateIdOf(socket: Socket): string {
  return (socket as unknown as { pid: string }).pid;
}

/** Clients of protocol 3 (Socket.IO 2) know nothing of recovery. */
export function canRecover(socket: Socket): boolean {
  return (socket.conn as unknown as { protocol: number }).protocol !== 3;
}

/** Calls `listener` when the connection is closed. @returns what stops it */
export function onClosed(connection: Connection, listener: () => void): () => void {
  const conn = connection as unknown as ConnectionEvents;
  conn.on("close", listener);
  return () => conn.off("close", listener);
}

/** Says for which connection Socket.IO asks its adapter for a session; it does not tell. */
export interface RestoreObserver {
  /** Defined while `restoreSession()` is called. */
  readonly connection: Connection | undefined;
  release(): void;
}

/** @param isMoved tells of a connection whether it has come from another worker with a session of the namespace */
export function observeRestores(
  nsp: Namespace,
  isMoved: (connection: Connection) => MovedSocket | undefined = () => undefined,
): RestoreObserver {
  const target = nsp as unknown as {
    _createSocket(client: { conn: Connection }, auth: unknown): Promise<Socket>;
  };
  const create = target._createSocket;
  const observer = {
    connection: undefined as Connection | undefined,
    release: () => {
      if (target._createSocket === observed) target._createSocket = create;
    },
  };
  // An async function, which calls the adapter before it returns.
  const observed: typeof create = (client, auth) => {
    observer.connection = client.conn;
    try {
      const moved = isMoved(client.conn);
      return moved ? makeMoved(nsp, create, client, moved) : create.call(nsp, client, auth);
    } finally {
      observer.connection = undefined;
    }
  };
  target._createSocket = observed;
  return observer;
}

/** What Socket.IO has to know to make the socket of a session that has moved here. */
export interface MovedSocket {
  readonly privateId: string;
  readonly handshake: Socket["handshake"];
}

/** Its middlewares find the handshake that it has had all along. */
async function makeMoved(
  nsp: Namespace,
  create: (client: { conn: Connection }, auth: unknown) => Promise<Socket>,
  client: { conn: Connection },
  { privateId, handshake }: MovedSocket,
): Promise<Socket> {
  const socket = await create.call(nsp, client, { ...handshake.auth, pid: privateId, offset: "" });
  return Object.assign(socket, { handshake });
}

/** Calls `listener` for each message of the client. */
export function onMessage({ conn }: Socket, listener: () => void): void {
  (conn as unknown as ConnectionEvents).on("data", listener);
}

/** Ends {@link onMessage}. */
export function offMessage({ conn }: Socket, listener: () => void): void {
  (conn as unknown as ConnectionEvents).off("data", listener);
}

/** Whether the socket's connection takes packets. */
export function isOpen({ conn }: Socket): boolean {
  return conn.readyState === "open";
}

type Close = (this: unknown, discard?: boolean) => void;
/** Is given what closes the connection then. */
type OnClose = (connection: Connection, close: () => void) => void;

/** What {@link interceptClose} has put its functions in front of. */
const closeBehind = new WeakMap<Close, Close>();
/** The functions that it has put there, by what is behind them: connections with the same `onClose` share them. */
const closeInBetween = new WeakMap<OnClose, WeakMap<Close, Close>>();

/** Puts `onClose` between whoever closes a connection that is open and the engine. One for all takes no memory for each. */
export function interceptClose(connection: Connection, onClose: OnClose): void {
  const conn = connection as unknown as { close: Close };
  const { close } = conn;
  const made = closeInBetween.get(onClose) ?? new WeakMap<Close, Close>();
  closeInBetween.set(onClose, made);
  let inBetween = made.get(close);
  if (!inBetween) {
    inBetween = function (...args) {
      const closed = this as Connection & { readonly readyState: string };
      if (closed.readyState === "open") onClose(closed, () => close.apply(closed, args));
      else close.apply(closed, args);
    };
    closeBehind.set(inBetween, close);
    made.set(close, inBetween);
  }
  conn.close = inBetween;
}

/** The engine's own. */
function ownClose(conn: { readonly close: Close }): Close {
  let { close } = conn;
  for (let behind = closeBehind.get(close); behind; behind = closeBehind.get(close)) close = behind;
  return close;
}

/** Closes the client's connection now, without waiting for what is still to be sent. */
export function closeConnection({ conn }: Socket): void {
  // Listeners of the application run in here; the caller goes on.
  runApplication(() => ownClose(conn as unknown as { close: Close }).call(conn, true));
}

/**
 * The socket with this id that is connected. It counts as connected when it joins the room of its own id, right
 * before it writes CONNECT. One whose connection is closed was left behind because a listener has thrown.
 */
export function connectedSocket(nsp: Namespace, sid: string): Socket | undefined {
  const socket = nsp.sockets.get(sid);
  return socket?.connected && isOpen(socket) ? socket : undefined;
}

/** A socket whose middlewares are running. */
export function connectingSocket(nsp: Namespace, sid: string): Socket | undefined {
  return (nsp as unknown as { _preConnectSockets: Map<string, Socket> })._preConnectSockets.get(sid);
}

/**
 * Gives up a socket whose middlewares are running. Socket.IO cleans up after it by its id whenever they are
 * done; that must not hit the socket that has the id by then.
 */
export function abandonSocket(socket: Socket): void {
  runApplication(() => (socket as unknown as { leaveAll(): void }).leaveAll());
  (socket.nsp as unknown as { _remove(socket: Socket): void })._remove(socket);
  Object.assign(socket, { id: `${socket.id} (abandoned)` });
  closeConnection(socket);
}

/**
 * Packets that a socket writes itself, not through the adapter, and that keep their order with broadcasts.
 */
export const SocketPacket = { connect: 0, disconnect: 1, ack: 3 } as const;

/**
 * Puts `onPacket` between the socket and its connection, for everything but events.
 * There is no event for them before they are written.
 */
export function interceptPackets(socket: Socket, onPacket: (type: number, write: () => void) => void): void {
  const target = socket as unknown as { packet(packet: Packet, options?: object): void };
  const write = target.packet;
  target.packet = (packet, options) => {
    onPacket(packet.type, () => write.call(socket, packet, options));
  };
}

/** What a socket does that was left behind when its client moved to another worker. */
export interface Ghost {
  join(rooms: Room[]): void;
  leave(room: Room): void;
  disconnect(close: boolean): void;
  write(packet: Packet): void;
}

/** Has what the application does with the socket go to `ghost`. @returns what undoes it */
export function becomeGhost(socket: Socket, ghost: Ghost): () => void {
  const own = Object.getOwnPropertyDescriptors(socket);
  const shadows: Record<string, unknown> = {
    join: (rooms: Room | Room[]) => ghost.join(Array.isArray(rooms) ? rooms : [rooms]),
    leave: (room: Room) => ghost.leave(room),
    disconnect: (close = false) => {
      ghost.disconnect(close);
      return socket;
    },
    packet: (packet: Packet) => ghost.write(packet),
  };
  Object.assign(socket, shadows);
  return () => {
    for (const name of Object.keys(shadows)) {
      const before = own[name];
      if (before) Object.defineProperty(socket, name, before);
      else Reflect.deleteProperty(socket, name);
    }
  };
}

/** Takes a socket that has moved out of its namespace and its rooms, without a word to the application. */
export function removeMoved(socket: Socket): void {
  const { nsp, id } = socket as unknown as { nsp: { _remove(socket: Socket): void }; id: SocketId };
  runApplication(() => socket.nsp.adapter.delAll(id));
  nsp._remove(socket);
}

/** Emits an event to the listeners that the application has on the socket, not to the client. */
export function emitLocally(socket: Socket, event: string): void {
  EventEmitter.prototype.emit.call(socket, event);
}

/** The acknowledgements that the socket waits for. */
export function pendingAcks(socket: Socket): number[] {
  return [...(socket as unknown as { acks: Map<number, unknown> }).acks.keys()];
}

/** Hands an acknowledgement of the client to the socket. */
export function acknowledge(socket: Socket, id: number, args: unknown[]): void {
  (socket as unknown as { onack(packet: Packet): void }).onack({ type: SocketPacket.ack, id, data: args });
}

/** Asks `onAck` first when the client acknowledges a packet; it says whether that is all. */
export function interceptAcks(socket: Socket, onAck: (id: number, args: unknown[]) => boolean): void {
  const target = socket as unknown as { onack(packet: Packet): void };
  const { onack } = target;
  target.onack = (packet) => {
    if (packet.id === undefined || !onAck(packet.id, packet.data)) onack.call(socket, packet);
  };
}

/** Has acknowledgements numbered from there on, if they are not already. */
export function numberAcksFrom(nsp: Namespace, id: number): void {
  const fields = nsp as unknown as { _ids: number };
  fields._ids = Math.max(fields._ids, id);
}

/** Writes a packet to the client as the socket itself does. */
export function writePacket(socket: Socket, packet: Packet): void {
  (socket as unknown as { packet(packet: Packet): void }).packet(packet);
}

/** Hands an event of `serverSideEmit()` to the namespace's listeners. */
export function onServerSideEmit(nsp: Namespace, args: unknown[]): void {
  (nsp as unknown as { _onServerSideEmit(args: unknown[]): void })._onServerSideEmit(args);
}

/** A number for a packet that wants acknowledgements; Socket.IO's adapter takes its own from here. */
export function nextPacketId(nsp: Namespace): number {
  return (nsp as unknown as { _ids: number })._ids++;
}

/** Calls `ack` with what the client acknowledges the packet with. */
export function expectAck(socket: Socket, packetId: number, ack: (...args: unknown[]) => void): void {
  (socket as unknown as { acks: Map<number, unknown> }).acks.set(packetId, ack);
}

/** Forgets an acknowledgement that nobody waits for any more. */
export function forgetAcks(nsp: Namespace, packetId: number): void {
  for (const socket of nsp.sockets.values()) {
    (socket as unknown as { acks: Map<number, unknown> }).acks.delete(packetId);
  }
}

/** The path that the server answers at; servers with the same path hear each other. */
export function pathOf(nsp: Namespace): string {
  return (nsp.server as unknown as Server).path();
}
