/**
 * Every undocumented part of Node.js that this package uses.
 * Owns: nothing. Runs in: primary and workers.
 *
 * A `net.Socket` costs the primary more than all the rest of a handover, and cannot be sent to another
 * process without losing bytes (see {@link detachHandle}), so the router works on the handle beneath it.
 * `node-internals.test.ts` fails when one of these moves. Tried with Node.js 20, 22, 24 and 26.
 *
 * Longer than other files: when Node.js changes, there is one place to look at.
 */
import http from "node:http";
import { type Server as NetServer, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { Server as TlsServer } from "node:tls";
import type { ListenAddress } from "../wire/messages.js";

/** The object beneath a `net.Socket`: Node's binding to libuv (`TCP` or `Pipe`). */
export interface Handle {
  /** Called with the memory that was read into, with nothing at the end of the stream and on errors. */
  onread: (memory?: ArrayBuffer) => void;
  /** How many bytes were read since it was opened. */
  readonly bytesRead: number;
  /** Whether a `net.Socket` believes that it is being read. */
  reading?: boolean;
  readStart(): number;
  readStop(): number;
  close(callback?: () => void): void;
  setNoDelay?(enable: boolean): number;
  setKeepAlive?(enable: boolean, initialDelaySeconds: number): number;
  getpeername?(out: Partial<PeerName>): number;
}

/** What `getpeername` and `getsockname` fill in. */
export interface PeerName {
  address: string;
  port: number;
  family: string;
}

/** One end of the cluster's IPC channel: `worker.process` in the primary, `process` in a worker. */
export interface IpcChannel extends NodeJS.EventEmitter {
  send?: unknown;
}

interface WithHandle {
  _handle: Handle | null;
}

/** What `net.Server` keeps of its listening and of its connections. */
interface ServerFields {
  _handle: { close(...args: unknown[]): void; getsockname?(out: Partial<PeerName>): number } | null;
  _pipeName: string | null | undefined;
  _connections: number;
  _listeningId: number;
  _emitCloseIfDrained(): void;
  readonly noDelay?: boolean;
  readonly keepAlive?: boolean;
  readonly keepAliveInitialDelay?: number;
  readonly allowHalfOpen?: boolean;
  readonly pauseOnConnect?: boolean;
  readonly highWaterMark?: number;
}

const fieldsOf = (server: NetServer) => server as unknown as ServerFields;

interface ListenHandle {
  onconnection: (error: number, handle?: Handle) => void;
}

const ignore = () => {};

/**
 * Reads from a handle. What `read` gets is `undefined` at the end of the stream and on errors.
 * From Node.js 26 on, the memory that was read into may be longer than what was read, and the rest holds anything.
 *
 * Fields: `handle.onread(memory)`, `handle.bytesRead`.
 * @returns `false` if nothing can be read from it
 */
export function startReading(handle: Handle, read: (bytes: Buffer | undefined) => void): boolean {
  let readBefore = handle.bytesRead;
  handle.onread = (memory) => {
    const length = handle.bytesRead - readBefore;
    readBefore = handle.bytesRead;
    read(memory && Buffer.from(memory, 0, length));
  };
  return handle.readStart() === 0;
}

/** Stops it in this very turn: what comes later is for whoever reads next. */
export function stopReading(handle: Handle): void {
  handle.readStop();
  handle.onread = ignore;
}

/**
 * Takes connections of a listening server before Node.js builds a `net.Socket` for them.
 * Returns the function that gives them back, or `undefined` if this Node.js has no such place; then the
 * server's "connection" event has to do.
 *
 * Field: `server._handle.onconnection(error, handle)`, set anew by each `listen()`.
 */
export function interceptAccept(
  server: NetServer,
  onHandle: (handle: Handle) => void,
  wanted: () => boolean,
): (() => void) | undefined {
  const listenHandle = (server as unknown as { _handle: ListenHandle | null })._handle;
  const original = listenHandle?.onconnection;
  if (!listenHandle || typeof original !== "function") return undefined;
  listenHandle.onconnection = function intercepted(error, handle) {
    if (error || !handle || !wanted()) original.call(this, error, handle);
    else onHandle(handle);
  };
  return () => {
    listenHandle.onconnection = original;
  };
}

/**
 * The listener with which an `http.Server` starts an HTTP parser on each connection.
 * Field: `http._connectionListener`; by name in case a release stops exporting it.
 */
export function httpConnectionListeners(server: NetServer): ((...args: unknown[]) => void)[] {
  if (!(server instanceof http.Server)) return [];
  const own = (http as unknown as { _connectionListener?: unknown })._connectionListener;
  return (server.listeners("connection") as ((...args: unknown[]) => void)[]).filter(
    (listener) => listener === own || listener.name === "connectionListener",
  );
}

/**
 * Starts the HTTP/1 parser of a server, with all of the server's options, on a connection that is not one of its
 * own: what `server.emit("connection", connection)` would do, but for the listeners of the user, and without TLS.
 *
 * Fields: the listener that `http.Server` has for "connection", `https.Server` and http2's secure server for
 * "secureConnection", named `connectionListener`; `connection.server`, which http2's asks; `server.headersTimeout`,
 * which http2's server has if it takes HTTP/1 as well.
 * @returns `false` if the server has no such parser, and then nothing has happened
 */
export function serveHttp(server: NetServer, connection: Duplex): boolean {
  const event = server instanceof TlsServer ? "secureConnection" : "connection";
  const listener = server.listeners(event).find(({ name }) => name === "connectionListener");
  if (!listener || typeof (server as http.Server).headersTimeout !== "number") return false;
  (connection as Duplex & { server?: NetServer }).server = server;
  listener.call(server, connection);
  return true;
}

/**
 * Separates a socket from its handle, stops the handle's reading at once and returns it with all that the
 * socket has buffered. `socket.pause()` would let libuv go on reading, and `process.send(message, socket)`
 * drops what arrives until the handle has left: both lose bytes.
 *
 * Fields: `socket._handle` (as `child_process` does it), `handle.reading`, `socket._server` with `_connections`
 * and `_emitCloseIfDrained()`.
 */
export function detachHandle(socket: Socket): { handle: Handle; buffered: Buffer | undefined } | undefined {
  const owner = socket as unknown as WithHandle & { _server?: ServerFields | null };
  const handle = owner._handle;
  if (!handle || socket.destroyed) return undefined;
  stopReading(handle);
  const chunks: Buffer[] = [];
  for (;;) {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) break;
    chunks.push(chunk);
  }
  // read() may have asked for more. The flag is what the next socket over this handle goes by.
  handle.readStop();
  handle.reading = false;
  owner._handle = null;
  socket.setTimeout(0);
  const server = owner._server;
  owner._server = null;
  if (server) {
    server._connections--;
    server._emitCloseIfDrained();
  }
  return { handle, buffered: chunks.length === 0 ? undefined : Buffer.concat(chunks) };
}

/**
 * Has the HTTP parser read no longer from the handle of a connection, so that it can be detached.
 * Fields: `socket.parser`, `parser.unconsume()`, as Node.js calls it when somebody else wants to read.
 */
export function stopParsing(socket: Socket): void {
  (socket as Socket & { parser?: { unconsume?(): void } | null }).parser?.unconsume?.();
}

/** The handle beneath a socket, for reading it in place. */
export function handleOf(socket: Socket): Handle | null {
  return (socket as unknown as WithHandle)._handle;
}

/**
 * Builds the socket of a handle, as `net.Server` does for a connection that it accepted itself: with a server,
 * that one counts it, and waits for its end when it is closed.
 * Fields: the `handle` option of `net.Socket`; `noDelay`, `keepAlive`, `allowHalfOpen`, `_connections` and their
 * kin of `net.Server`; `server` and `_server` of `net.Socket`.
 */
export function adoptHandle<S extends Socket = Socket>(
  handle: Handle,
  server?: NetServer,
  SocketClass: new (options: ConstructorParameters<typeof Socket>[0]) => Socket = Socket,
): S {
  const fields = server && fieldsOf(server);
  if (fields?.noDelay) handle.setNoDelay?.(true);
  if (fields?.keepAlive) handle.setKeepAlive?.(true, fields.keepAliveInitialDelay ?? 0);
  const socket = new SocketClass({
    handle,
    allowHalfOpen: fields?.allowHalfOpen ?? true,
    pauseOnCreate: fields?.pauseOnConnect ?? false,
    readable: true,
    writable: true,
    ...(fields?.highWaterMark !== undefined && {
      readableHighWaterMark: fields.highWaterMark,
      writableHighWaterMark: fields.highWaterMark,
    }),
  } as ConstructorParameters<typeof Socket>[0]);
  if (fields) {
    fields._connections++;
    Object.assign(socket, { server, _server: server });
  }
  return socket as S;
}

/**
 * What a server holds that counts as listening though others listen for it; node:cluster gives its workers'
 * servers such a thing, too. `address()` asks `getsockname`, and without it says the `_pipeName`.
 */
class StandInHandle {
  getsockname?: (out: Partial<PeerName>) => number;
  close(): void {}
  ref(): void {}
  unref(): void {}
}

/**
 * Makes a server count as listening for which others listen: `listening` is true, `close()` ends that, and waits for
 * the connections. If node:cluster listens for it, that ends. Returns the function that says what `address()` tells.
 * Fields: `server._handle`, `server._pipeName`.
 */
export function standInForListening(server: NetServer): (address: ListenAddress) => void {
  const fields = fieldsOf(server);
  const standIn = new StandInHandle();
  const former = fields._handle;
  fields._handle = standIn;
  former?.close();
  return (address) => {
    if (fields._handle !== standIn) return;
    if (typeof address === "string") fields._pipeName = address;
    else {
      standIn.getsockname = (out) => {
        Object.assign(out, address);
        return 0;
      };
    }
  };
}

/** Whose the handles are that {@link onClosing} has given a `close` of its own. */
const listeners = new WeakMap<object, "itself" | "cluster">();

/**
 * Who listens for a server of a worker. "unknown": `listen()` was called before, and may be about to succeed or have
 * failed.
 * Fields: the `close` that node:cluster gives to the handles of its own; `server._listeningId`, 1 until `listen()`.
 */
export function listenerOf(server: NetServer): "nobody" | "unknown" | "itself" | "cluster" {
  const { _handle: handle, _listeningId: calls } = fieldsOf(server);
  if (!handle) return calls > 1 ? "unknown" : "nobody";
  return listeners.get(handle) ?? (Object.hasOwn(handle, "close") ? "cluster" : "itself");
}

/** Undoes {@link standInForListening}; a server that listens itself is left alone. */
export function removeStandIn(server: NetServer): void {
  const fields = fieldsOf(server);
  if (!(fields._handle instanceof StandInHandle)) return;
  fields._handle = null;
  fields._pipeName = undefined;
}

/** Tells when a listening server begins to close; its event "close" only comes when all connections are gone. */
export function onClosing(server: NetServer, closing: () => void): void {
  const handle = fieldsOf(server)._handle;
  if (!handle) return;
  listeners.set(handle, listenerOf(server) === "cluster" ? "cluster" : "itself");
  const { close } = handle;
  handle.close = (...args) => {
    // Not if something else stands in for it.
    if (fieldsOf(server)._handle === handle) closing();
    close.apply(handle, args);
  };
}

/**
 * Tells the primary of node:cluster that a server of this worker listens, for the event "listening" of `cluster`.
 * Field: the message that `cluster._getServer()` sends.
 */
export function announceListening(address: ListenAddress): void {
  const where =
    typeof address === "string"
      ? { address, addressType: -1, port: -1 }
      : { address: address.address, addressType: address.family === "IPv6" ? 6 : 4, port: address.port };
  process.send?.({ cmd: "NODE_CLUSTER", act: "listening", ...where }, () => {});
}

/**
 * Makes an answer whose head has not left the last one of its connection. The field "Connection" would do the same,
 * but takes the way through `setHeader()`, on which `writeHead()` of Node.js 20 loses repeated fields.
 * Field: `response.shouldKeepAlive`.
 */
export function endConnectionAfter(answer: http.ServerResponse): void {
  if (!answer.headersSent) answer.shouldKeepAlive = false;
}

/** Where a worker wants to listen. */
export interface ListenQuery {
  /** The path of a Unix socket, or a port. */
  readonly place: string | number;
  /** What node:cluster shares among the servers of one place: the keys of TLS tickets. */
  readonly data: unknown;
}

/**
 * Answers a worker's `listen()` in place of node:cluster, which would open the port in this process.
 * Fields: event "internalMessage" and the message "queryServer" of node:cluster, with its answer.
 * @param answer gives where the server listens, or `undefined` to leave it to node:cluster
 * @returns the function that undoes it
 */
export function answerListen(
  channel: IpcChannel,
  answer: (query: ListenQuery) => { readonly address: ListenAddress; readonly data: unknown } | undefined,
): () => void {
  const listener = (message: Record<string, unknown>) => {
    const { cmd, act, seq, addressType, address, port, data } = message;
    if (cmd !== "NODE_CLUSTER" || act !== "queryServer") return;
    const place = addressType === -1 ? address : port;
    const isStream = addressType === 4 || addressType === 6 || addressType === -1;
    if (!isStream || (typeof place !== "string" && typeof place !== "number")) return;
    const found = answer({ place, data });
    if (!found) return;
    // All listeners get this object. What is not for it, node:cluster leaves alone.
    message.cmd = "HOLDFAST_ANSWERED";
    const sockname = typeof found.address === "string" ? undefined : found.address;
    const reply = { cmd: "NODE_CLUSTER", ack: seq, key: `holdfast:${seq}`, data: found.data, sockname };
    (channel.send as (message: object, callback: () => void) => void).call(channel, reply, ignore);
  };
  channel.prependListener("internalMessage", listener);
  return () => void channel.off("internalMessage", listener);
}

/** Of each connection of an `http.Server` the answer that is being written. */
export function answersInProgress(server: NetServer): http.ServerResponse[] {
  const answers: http.ServerResponse[] = [];
  for (const { socket } of connectionsOf(server)?.all() ?? []) {
    const answer = socket && answerOn(socket);
    if (answer) answers.push(answer);
  }
  return answers;
}

/**
 * Those connections of an `http.Server` that are kept alive after a request, and bring nothing now. From Node.js 26 on, the
 * list has those as well that have brought nothing yet: what comes over them is still to be answered.
 */
export function idleConnections(server: NetServer): Socket[] {
  const idle = connectionsOf(server)?.idle() ?? [];
  return idle.flatMap(({ socket }) => (socket && !answerOn(socket) && isUsed(socket) ? [socket] : []));
}

/** Those connections of an `http.Server` over which nothing has come yet, nor gone. */
export function silentConnections(server: NetServer): Socket[] {
  const all = connectionsOf(server)?.all() ?? [];
  return all.flatMap(({ socket }) => (socket && !answerOn(socket) && !isUsed(socket) ? [socket] : []));
}

/** The head of the first request may have come with the connection, so that nothing was read; its answer was written. */
function isUsed({ bytesRead, bytesWritten }: Socket): boolean {
  return bytesRead + bytesWritten > 0;
}

interface ConnectionsList {
  all(): { readonly socket?: Socket }[];
  idle(): { readonly socket?: Socket }[];
}

/** Field: the symbol "http.server.connections". */
function connectionsOf(server: NetServer): ConnectionsList | undefined {
  const symbol = Object.getOwnPropertySymbols(server).find(
    ({ description }) => description === "http.server.connections",
  );
  return symbol && (server as unknown as Record<symbol, ConnectionsList>)[symbol];
}

/** Whether nothing of an answer is left on an idle connection. */
export function isQuiet(socket: Socket): boolean {
  return !socket.destroyed && socket.writableLength === 0 && !(socket as WithAnswer)._httpMessage;
}

/** Field: `socket._httpMessage`. */
type WithAnswer = Socket & { readonly _httpMessage?: http.ServerResponse | null };

function answerOn(socket: Socket): http.ServerResponse | undefined {
  const { _httpMessage: answer } = socket as WithAnswer;
  return answer && !answer.writableFinished && !answer.destroyed ? answer : undefined;
}

/**
 * Makes `socket.remoteAddress` and its kin tell the address that a proxy has reported, for the plain socket
 * as for a TLS socket over it (both ask the handle).
 * Field: `handle.getpeername(out)`.
 */
export function overridePeerName(handle: Handle, peer: PeerName): void {
  handle.getpeername = (out) => {
    Object.assign(out, peer);
    return 0;
  };
}

/** The address at the other end; `undefined` for a Unix socket and when it is gone. */
export function addressOf(handle: Handle): string | undefined {
  const out: Partial<PeerName> = {};
  return handle.getpeername?.(out) === 0 ? out.address : undefined;
}

/**
 * Starts what `listen()` would start on an `http.Server`: the list of its connections, which
 * `closeIdleConnections()`, `headersTimeout` and `requestTimeout` need, for one that counts as listening only.
 * Field: the "listening" listener `setupConnectionsTracking`.
 */
export function trackHttpConnections(server: NetServer): void {
  const listener = server.listeners("listening").find(({ name }) => name === "setupConnectionsTracking");
  listener?.call(server);
}

/** Whether a handle is on its way over this channel; then the next one must wait for its acknowledgement. */
export function isHandleInFlight(channel: IpcChannel): boolean {
  // Node's own queue of messages behind an unacknowledged handle: null when there is none.
  const queue = (channel as unknown as { _handleQueue?: unknown[] | null })._handleQueue;
  return queue !== null && queue !== undefined;
}

/**
 * Tells when the receiver has taken the handle that was in flight (`true`) or could not (`false`, it has no
 * file descriptor left). Returns the function that stops it.
 * Fields: event "internalMessage", commands `NODE_HANDLE_ACK` and `NODE_HANDLE_NACK`.
 */
export function onHandleSettled(channel: IpcChannel, settled: (taken: boolean) => void): () => void {
  const listener = (message: { cmd?: string }) => {
    if (message.cmd === "NODE_HANDLE_ACK") settled(true);
    else if (message.cmd === "NODE_HANDLE_NACK") settled(false);
  };
  channel.on("internalMessage", listener);
  return () => void channel.off("internalMessage", listener);
}

/**
 * How many bytes were read of an IPC channel so far; `undefined` if this Node.js does not tell.
 * Field: the property `kChannelHandle` of the channel, the pipe beneath it.
 */
export function bytesReadOf(channel: IpcChannel): number | undefined {
  const symbol = Object.getOwnPropertySymbols(channel).find(
    ({ description }) => description === "kChannelHandle",
  );
  const pipe = symbol && (channel as unknown as Record<symbol, { bytesRead?: number } | null>)[symbol];
  return pipe?.bytesRead;
}

/** Gives a handle to the other end of an IPC channel. The caller closes its own copy. */
export function sendHandle(
  channel: IpcChannel,
  message: object,
  handle: Handle,
  callback: (error: Error | null) => void,
): void {
  const send = channel.send as (
    message: object,
    handle: Handle,
    options: object,
    callback: (error: Error | null) => void,
  ) => void;
  send.call(channel, message, handle, {}, callback);
}

/** How many fields of a head Node.js keeps unless the server says otherwise. */
const MAX_FIELDS = 1_000;

/**
 * How many fields of a request's head are kept, at least; those beyond are dropped without a word, or the request is refused
 * with 431: Node.js 20 drops them, 22 and 26 refuse it. 0: all are kept.
 * Field: `socket.server`, of HTTP/1.
 */
export function maxFieldsOf({ socket }: http.IncomingMessage): number {
  const { server } = socket as { server?: { maxHeadersCount?: number | null } };
  return server?.maxHeadersCount ?? MAX_FIELDS;
}
