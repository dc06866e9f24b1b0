/**
 * The fields of Engine.IO, and of Socket.IO's client above it, that a move needs. With `private-fields.ts` and
 * `private-fields-ws.ts` the one place of the package for private fields; `private-fields-moves.test.ts` fails when one
 * moves. Tried with engine.io 6.6, socket.io 4.8, socket.io-parser 4.2.
 * Owns: nothing. Runs in: workers.
 *
 * Longer than other files: all uses of the fields that a move needs are in one place.
 */
import { IncomingMessage } from "node:http";
import { Socket as NetSocket } from "node:net";
import type { Duplex } from "node:stream";
import type { Namespace, Server, Socket } from "socket.io";
import { remainingMs } from "../link/node-internals.js";
import { type Connection, type Packet, rawSocketOf } from "./private-fields.js";
import {
  type DeflateParams,
  isWebSocket,
  raiseWebSocket,
  type WebSocket,
  type WebSocketServer,
  type WebSocketServerClass,
} from "./private-fields-ws.js";

interface TransportFields {
  readonly name: string;
  readonly readyState: string;
  writable: boolean;
  onRequest(request: unknown): void;
  readonly supportsBinary: boolean;
  readonly socket?: unknown;
}

interface ConnectionFields {
  readonly id: string;
  readonly protocol: number;
  readonly readyState: string;
  upgraded: boolean;
  server: unknown;
  readonly request: IncomingMessage & { _query?: Record<string, string> };
  remoteAddress: string;
  readonly transport: TransportFields;
  writeBuffer: unknown[];
  readonly pingIntervalTimer: NodeJS.Timeout | null;
  readonly pingTimeoutTimer: NodeJS.Timeout | null;
  hasRefreshedPingTimeout: boolean;
  flush(): void;
  sendPacket(type: string): void;
  resetPingTimeout(): void;
  onClose(reason: string): void;
  close(discard?: boolean): void;
  emit(event: "data", data: unknown): void;
  once(event: "close", listener: () => void): void;
}

interface EngineFields {
  readonly opts: {
    readonly wsEngine: WebSocketServerClass;
    perMessageDeflate?: unknown;
    readonly maxHttpBufferSize: number;
    /** Since engine.io 6.6.13. */
    readonly maxBufferedChunks?: number;
    readonly initialPacket?: unknown;
  };
  readonly clients: Record<string, ConnectionFields>;
  clientsCount: number;
  readonly ws?: { readonly options?: { perMessageDeflate?: unknown } };
  emit(event: string, ...args: unknown[]): boolean;
  createTransport(name: string, request: unknown): TransportFields;
  handshake(name: string, request: unknown, onRefused: () => void): Promise<TransportFields | undefined>;
}

interface ClientFields {
  readonly conn: ConnectionFields;
  readonly nsps: ReadonlyMap<string, Socket>;
  readonly sockets: ReadonlyMap<string, Socket>;
  readonly decoder: {
    readonly reconstructor?: { readonly reconPack: BinaryPacket | null; readonly buffers: Buffer[] } | null;
  };
  destroy(): void;
}

interface BinaryPacket extends Packet {
  readonly attachments: number;
}

/** An Engine.IO connection in a form that another process can go on from. */
export interface ConnectionState {
  readonly id: string;
  readonly protocol: number;
  readonly remoteAddress: string;
  /** Of the request by which the session began. */
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly rawHeaders: string[];
  readonly query: Record<string, string>;
  /** Milliseconds until the next ping is due; undefined while a pong is. */
  readonly pingInMs: number | undefined;
  /** Milliseconds until the connection is given up, while a pong is due. */
  readonly pongInMs: number | undefined;
  readonly deflate: DeflateParams | undefined;
}

const fieldsOf = (connection: Connection) => connection as unknown as ConnectionFields;

/** The connections of a Socket.IO server. Its engine may know some that are closed: of clients that have yet to hear of it. */
export function connectionsOf(io: Server): Connection[] {
  const { clients } = io.engine as unknown as EngineFields;
  return Object.values(clients).filter(
    ({ readyState }) => readyState !== "closed",
  ) as unknown as Connection[];
}

/** Socket.IO's client of a connection that has a socket. */
export type Client = Socket["client"];

/** The clients that have sockets, by their connections. */
export function clientsOf(io: Server): Map<Connection, Client> {
  const clients = new Map<Connection, Client>();
  for (const { sockets } of namespacesOf(io).values()) {
    for (const { client } of sockets.values()) clients.set(client.conn as unknown as Connection, client);
  }
  return clients;
}

/** Whether sockets of the connection are being made. */
export function isConnecting(io: Server, connection: Connection): boolean {
  for (const nsp of namespacesOf(io).values()) {
    for (const { client } of preConnectSocketsOf(nsp))
      if ((client.conn as unknown) === connection) return true;
  }
  return false;
}

function preConnectSocketsOf(nsp: Namespace): Iterable<Socket> {
  return (nsp as unknown as { _preConnectSockets: ReadonlyMap<string, Socket> })._preConnectSockets.values();
}

/** The sockets of a client, of all its namespaces. */
export function socketsOf(client: Client): Socket[] {
  return [...(client as unknown as ClientFields).nsps.values()];
}

/** The WebSocket of a connection; undefined for other transports, and other engines' WebSockets. */
export function webSocketOf(connection: Connection): WebSocket | undefined {
  const { name, socket } = fieldsOf(connection).transport;
  return name === "websocket" && isWebSocket(socket) ? socket : undefined;
}

export function transportNameOf(connection: Connection): string {
  return fieldsOf(connection).transport.name;
}

/** Whether the connection is open. */
export function isOpenConnection(connection: Connection): boolean {
  return fieldsOf(connection).readyState === "open";
}

/** Whether the connection and its transport are open: neither side has begun to close. */
export function isSettled(connection: Connection): boolean {
  const { readyState, transport } = fieldsOf(connection);
  return readyState === "open" && transport.readyState === "open";
}

/** What requests of the session are known by. */
export function sessionIdOf(connection: Connection): string {
  return fieldsOf(connection).id;
}

/** Gives all that waits in the engine to the WebSocket, whether or not that has written what it had before. */
export function pushOut(connection: Connection): void {
  const fields = fieldsOf(connection);
  while (fields.writeBuffer.length > 0) {
    fields.transport.writable = true;
    fields.flush();
  }
}

/** How much waits for the client, in the engine and in its socket. Texts count as one byte a character. */
export function unsentBytesOf(connection: Connection): number {
  let bytes = rawSocketOf(connection)?.writableLength ?? 0;
  for (const { data } of fieldsOf(connection).writeBuffer as { readonly data?: string | ArrayBufferView }[]) {
    if (data !== undefined) bytes += typeof data === "string" ? data.length : data.byteLength;
  }
  return bytes;
}

/** What is left of pings that another process has begun: sooner than the engine's own timers. */
interface ContinuedPings {
  readonly ping: NodeJS.Timeout | undefined;
  readonly pong: NodeJS.Timeout | undefined;
  /** Whether the pong that was due then still is. */
  isPongDue(): boolean;
}

const continuedPings = new WeakMap<Connection, ContinuedPings>();

function soonest(...timers: (NodeJS.Timeout | null | undefined)[]): number | undefined {
  const left = timers.flatMap((timer) => remainingMs(timer ?? null) ?? []);
  return left.length === 0 ? undefined : Math.min(...left);
}

/** @param copy copies an object's fields */
export function takeConnectionState(
  connection: Connection,
  deflate: DeflateParams | undefined,
  copy: <T extends object>(of: T) => T,
): ConnectionState {
  const continued = continuedPings.get(connection);
  const { id, protocol, remoteAddress, request, pingIntervalTimer, pingTimeoutTimer } = fieldsOf(connection);
  return {
    id,
    protocol,
    remoteAddress,
    url: request.url ?? "",
    headers: copy(request.headers),
    rawHeaders: request.rawHeaders,
    query: copy(request._query ?? {}),
    pingInMs: soonest(pingIntervalTimer, continued?.ping),
    pongInMs: soonest(pingTimeoutTimer, continued?.isPongDue() ? continued.pong : undefined),
    deflate,
  };
}

/**
 * The parts of a binary packet of which not all have come, as the client has sent them; empty if there is none.
 * Other parsers than Socket.IO's own have no such thing.
 * @throws {RangeError} if it is nested too deep to be written
 */
export function halfPacketOf(client: Client): (string | Buffer)[] {
  const { reconstructor } = (client as unknown as ClientFields).decoder;
  if (!reconstructor?.reconPack) return [];
  const { type, attachments, nsp = "/", id, data } = reconstructor.reconPack;
  const place = nsp === "/" ? "" : `${nsp},`;
  const text = `${type + BINARY}${attachments}-${place}${id ?? ""}${JSON.stringify(data)}`;
  return [text, ...reconstructor.buffers];
}

/** What Socket.IO's protocol adds to the type of a packet with attachments. */
const BINARY = 3;

/** Socket.IO hears nothing more of the connection: its sockets are not told when it is closed. */
export function forgetConnection(client: Client): void {
  (client as unknown as ClientFields).destroy();
}

/** Ends what is left here of a connection that another process has. Who counts sessions hears why. */
export function endMoved(connection: Connection): void {
  fieldsOf(connection).onClose("moved away");
}

/** Has the WebSockets of this server compress in a way that a move can go on from. */
export function inflateAnew(io: Server): void {
  const engine = io.engine as unknown as EngineFields | undefined;
  if (!engine?.opts.perMessageDeflate) return;
  const given = engine.opts.perMessageDeflate;
  const options = { ...(typeof given === "object" ? given : {}), clientNoContextTakeover: true };
  engine.opts.perMessageDeflate = options;
  if (engine.ws?.options?.perMessageDeflate) engine.ws.options.perMessageDeflate = options;
}

/**
 * Brings a connection up that was taken out of another process, over its TCP socket. It does not read yet.
 * @param head what the WebSocket's parser is given before what is read
 * @returns undefined if it cannot be
 */
export async function raiseConnection(
  io: Server,
  state: ConnectionState,
  socket: Duplex,
  head: Buffer,
): Promise<Connection | undefined> {
  const engine = io.engine as unknown as EngineFields;
  if (Object.hasOwn(engine.clients, state.id)) return undefined;
  const webSocket = raiseWebSocket(webSocketServerOf(engine), socket, state.deflate, head);
  if (!webSocket) return undefined;
  const request = Object.assign(requestFor(state, socket), { websocket: webSocket });
  const connection = await raise(engine, state, "websocket", request);
  if (!connection) return undefined;
  connection.upgraded = true;
  connection.transport.writable = true;
  connection.flush();
  return connection as unknown as Connection;
}

/**
 * Brings a session up whose client polls. It writes nothing until the next poll.
 * @returns undefined if it cannot be
 */
export async function raisePolling(io: Server, state: ConnectionState): Promise<Connection | undefined> {
  const engine = io.engine as unknown as EngineFields;
  if (Object.hasOwn(engine.clients, state.id)) return undefined;
  const connection = await raise(engine, state, "polling", requestFor(state, new NetSocket()));
  return connection as unknown as Connection | undefined;
}

async function raise(
  engine: EngineFields,
  state: ConnectionState,
  transport: string,
  request: IncomingMessage,
): Promise<ConnectionFields | undefined> {
  await stageFor(engine, state.id).handshake(transport, request, () => {});
  const connection = engine.clients[state.id];
  if (!connection) return undefined;
  Reflect.deleteProperty(connection.transport, "onRequest");
  connection.server = engine;
  connection.remoteAddress = state.remoteAddress;
  // The client has had the packets that open a session.
  connection.writeBuffer.splice(0, engine.opts.initialPacket ? 2 : 1);
  return connection;
}

const webSocketServers = new WeakMap<EngineFields, WebSocketServer>();

/** The engine's own would tell its listeners of headers that nobody gets. */
function webSocketServerOf(engine: EngineFields): WebSocketServer {
  let server = webSocketServers.get(engine);
  if (!server) {
    const { wsEngine, perMessageDeflate, maxHttpBufferSize: maxPayload, maxBufferedChunks } = engine.opts;
    // Where it is not given, that of ws holds.
    const chunks = maxBufferedChunks === undefined ? {} : { maxBufferedChunks };
    server = new wsEngine({
      noServer: true,
      clientTracking: false,
      perMessageDeflate,
      maxPayload,
      ...chunks,
    });
    webSocketServers.set(engine, server);
  }
  return server;
}

/** The engine as it has to be for one opening handshake: the id is given, and nothing is sent. */
function stageFor(engine: EngineFields, id: string): EngineFields {
  return Object.create(engine, {
    generateId: { value: () => id },
    createTransport: {
      value: (name: string, request: unknown) => {
        const transport = engine.createTransport(name, request);
        transport.writable = false;
        // The request by which the session began has been answered.
        transport.onRequest = () => {};
        return transport;
      },
    },
    clientsCount: {
      get: () => engine.clientsCount,
      set: (count: number) => {
        engine.clientsCount = count;
      },
    },
    emit: { value: (event: string, ...args: unknown[]) => engine.emit(event, ...args) },
  });
}

/** The request by which the session began, as the application sees it. */
function requestFor(
  { url, headers, rawHeaders, query, protocol }: ConnectionState,
  socket: Duplex,
): IncomingMessage {
  const request = new IncomingMessage(socket as never);
  request.method = "GET";
  request.url = url;
  request.httpVersion = "1.1";
  request.headers = headers;
  request.rawHeaders = [...rawHeaders];
  return Object.assign(request, { _query: { ...query, EIO: String(protocol) } });
}

/** Goes on with the pings where the other process has stopped. */
export function continuePings(connection: Connection, { pingInMs, pongInMs }: ConnectionState): void {
  const fields = fieldsOf(connection);
  const after = (ms: number, run: () => void) => setTimeout(() => fields.readyState === "open" && run(), ms);
  // The engine's own timers keep their full times: it starts them again.
  const ping = () => {
    fields.pingIntervalTimer?.refresh();
    fields.hasRefreshedPingTimeout = false;
    fields.sendPacket("ping");
    fields.resetPingTimeout();
  };
  if (pongInMs !== undefined) fields.resetPingTimeout();
  const own = fields.pingTimeoutTimer;
  const isPongDue = () => own !== null && fields.pingTimeoutTimer === own && !fields.hasRefreshedPingTimeout;
  const onPongMissing = () => isPongDue() && fields.onClose("ping timeout");
  const continued: ContinuedPings = {
    ping: pingInMs === undefined ? undefined : after(pingInMs, ping),
    pong: pongInMs === undefined ? undefined : after(pongInMs, onPongMissing),
    isPongDue,
  };
  // The connection may move on before they are over.
  continuedPings.set(connection, continued);
  fields.once("close", () => {
    clearTimeout(continued.ping);
    clearTimeout(continued.pong);
  });
}

/** Hands a packet of the client to Socket.IO, as if it had just come. */
export function receive(connection: Connection, part: unknown): void {
  fieldsOf(connection).emit("data", part);
}

/** Closes a connection with a code of the WebSocket protocol (RFC 6455 §7.4), or as it is closed over other transports. */
export function closeWith(connection: Connection, code: number, reason: string): void {
  const webSocket = webSocketOf(connection);
  if (webSocket) webSocket.close(code, reason);
  else fieldsOf(connection).close();
}

/** Cuts a connection. */
export function cut(connection: Connection): void {
  const webSocket = webSocketOf(connection);
  fieldsOf(connection).onClose("transport close");
  // It would wait for its client's answer, and nobody may read that: not while the client is on its way.
  webSocket?.terminate();
}

/** The namespace of this name, if there is one. */
export function namespaceOf(io: Server, name: string): Namespace | undefined {
  return namespacesOf(io).get(name);
}

function namespacesOf(io: Server): ReadonlyMap<string, Namespace> {
  return (io as unknown as { _nsps: ReadonlyMap<string, Namespace> })._nsps;
}
