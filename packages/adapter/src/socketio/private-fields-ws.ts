/**
 * The fields of `ws` that a move needs: what its parser has of a message that is not complete, and whether it is at
 * work. With `private-fields.ts` and `private-fields-engine.ts` the one place of the package for private fields;
 * `private-fields-moves.test.ts` fails when one moves. Tried with ws 8.17 to 8.23, the copies that engine.io 6.6 brings.
 * Owns: nothing. Runs in: workers.
 *
 * A parser's state is told in the protocol's own form (RFC 6455 §5.2): as bytes that bring a new parser, of whatever
 * version, to where this one stands.
 */
import type { Duplex } from "node:stream";
import { frameHead } from "../wire/websocket-frame.js";

/** Parameters of permessage-deflate as they were agreed on (RFC 7692 §7.1). */
export type DeflateParams = Readonly<Record<string, string | number | boolean>>;

interface Receiver {
  readonly _state: number;
  readonly _buffers: readonly Buffer[];
  readonly _compressed: boolean;
  readonly _payloadLength: number;
  readonly _mask: Buffer | undefined;
  readonly _fragmented: number;
  readonly _fin: boolean;
  readonly _opcode: number;
  readonly _fragments: readonly Buffer[];
  readonly _totalPayloadLength: number;
  readonly _errored: boolean;
  readonly writableLength: number;
}

interface Deflate {
  readonly params: DeflateParams | null;
  /** Set once a message was inflated. */
  readonly _inflate: unknown;
}

interface Sender {
  readonly _state?: number;
  /** In place of that, before ws 8.18. */
  readonly _deflating?: boolean;
  readonly _queue: readonly unknown[];
  readonly _firstFragment: boolean;
}

interface WebSocketFields {
  readonly readyState: number;
  readonly _closeFrameReceived: boolean;
  readonly _socket: Duplex | null;
  readonly _receiver: Receiver | null;
  readonly _sender: Sender | null;
  readonly _extensions: { readonly "permessage-deflate"?: Deflate };
  pause(): void;
  resume(): void;
  close(code: number, reason: string): void;
  terminate(): void;
}

/** A WebSocket of `ws`. */
export type WebSocket = WebSocketFields;

const OPEN = 1;

/** States of the parser: what it waits for. */
const Parser = { info: 0, length16: 1, length64: 2, mask: 3, data: 4 } as const;
/** Of the sender: it has nothing to do. */
const IDLE = 0;
const CONTROL = 0x08;
const FIN = 0x80;
const COMPRESSED = 0x40;
const MASKED = 0x80;
const LENGTH_16 = 126;
const LENGTH_64 = 127;
const NO_MASK = Buffer.alloc(4);

/** Whether the object is a WebSocket that a move understands; other engines have other fields. */
export function isWebSocket(value: unknown): value is WebSocket {
  const fields = value as Partial<WebSocketFields> | undefined;
  return (
    typeof fields?.pause === "function" &&
    typeof fields._receiver?._state === "number" &&
    Array.isArray(fields._receiver._buffers) &&
    isAtWork(fields._sender) !== undefined &&
    typeof fields._extensions === "object"
  );
}

/** Whether neither side has begun to close. */
export function isOpenWebSocket({ readyState, _closeFrameReceived, _receiver, _socket }: WebSocket): boolean {
  return readyState === OPEN && !_closeFrameReceived && _receiver?._errored === false && _socket !== null;
}

/** The agreed compression; undefined if there is none. */
export function deflateParamsOf({ _extensions }: WebSocket): DeflateParams | undefined {
  return _extensions["permessage-deflate"]?.params ?? undefined;
}

/** Whether what the client sends can be inflated without knowing what it has sent before. */
export function inflatesAnew({ _extensions }: WebSocket): boolean {
  const deflate = _extensions["permessage-deflate"];
  return !deflate?._inflate || deflate.params?.client_no_context_takeover === true;
}

/** Whether everything that was sent has been given to the TCP socket. */
export function hasSent({ _sender: sender }: WebSocket): boolean {
  return isAtWork(sender) === false && sender?._queue.length === 0 && sender._firstFragment;
}

/** Whether the sender compresses, or reads what it is to send; undefined where it does not tell. */
function isAtWork(sender: Sender | null | undefined): boolean | undefined {
  return sender?._state === undefined ? sender?._deflating : sender._state !== IDLE;
}

/**
 * The bytes that bring a new parser to where this one stands.
 * @returns undefined while it is at work, or has inflated a part of a message
 */
export function replayOf({ _receiver: receiver }: WebSocket): Buffer | undefined {
  if (!receiver || receiver.writableLength > 0 || receiver._state > Parser.data) return undefined;
  const earlier = earlierFragments(receiver);
  if (earlier && receiver._compressed) return undefined;
  const head = currentHead(receiver, earlier !== undefined);
  return Buffer.concat([...(earlier ?? []), ...head, ...receiver._buffers]);
}

/** The fragments of a message that are complete, as one that is; undefined if there are none. */
function earlierFragments(receiver: Receiver): Buffer[] | undefined {
  const { _fragmented: opcode, _fragments: fragments } = receiver;
  if (opcode === 0) return undefined;
  // An empty first fragment and its continuation are the same message as that continuation alone.
  const isBetween = receiver._state === Parser.info || receiver._opcode >= CONTROL;
  if (!isBetween && lengthBefore(receiver) === 0) return undefined;
  const data = Buffer.concat(fragments);
  return [frameHead(opcode, data.length, NO_MASK), data];
}

/** How long the fragments before the current frame are. */
function lengthBefore({
  _state: state,
  _totalPayloadLength: total,
  _payloadLength: length,
}: Receiver): number {
  return state >= Parser.mask ? total - length : total;
}

/** What was read of the head of the frame that is being read. */
function currentHead(receiver: Receiver, isContinuation: boolean): Buffer[] {
  const { _state: state, _payloadLength: length, _mask: mask } = receiver;
  if (state === Parser.info) return [];
  const first = firstByte(receiver, isContinuation);
  if (state === Parser.length16) return [Buffer.from([first, MASKED | LENGTH_16])];
  if (state === Parser.length64) return [Buffer.from([first, MASKED | LENGTH_64])];
  return [frameHead(first, length, state === Parser.data ? mask : undefined)];
}

function firstByte({ _fin, _opcode, _compressed }: Receiver, isContinuation: boolean): number {
  const fin = _fin ? FIN : 0;
  if (_opcode >= CONTROL) return fin | _opcode;
  if (isContinuation) return fin;
  return fin | (_compressed ? COMPRESSED : 0) | _opcode;
}

/** A WebSocket server of `ws` that has no HTTP server. */
export interface WebSocketServer {
  /** Those that it has been made with, and the defaults of the others. */
  readonly options?: { readonly WebSocket?: RaisableClass };
  handleUpgrade(request: object, socket: Duplex, head: Buffer, callback: (webSocket: unknown) => void): void;
}

/** The class of the WebSockets of a server. Its `setSocket()` is the end of an opening handshake. */
type RaisableClass = new (
  address: null,
  protocols: undefined,
  options: object,
) => { setSocket?(socket: Duplex, head: Buffer, options: object): void };

/** Options of {@link WebSocketServer}, as Engine.IO gives them to its own. */
export type WebSocketServerClass = new (options: {
  noServer: true;
  clientTracking: false;
  perMessageDeflate: unknown;
  maxPayload: number;
  maxBufferedChunks?: number;
}) => WebSocketServer;

/**
 * Brings a WebSocket up over a connection whose opening handshake was done in another process. It does not read yet.
 * @param head what its parser is given before what is read
 * @returns undefined if it cannot be, or not with this compression
 */
export function raiseWebSocket(
  server: WebSocketServer,
  socket: Duplex,
  deflate: DeflateParams | undefined,
  head: Buffer,
): WebSocket | undefined {
  if (!socket.readable || !socket.writable) return undefined;
  const raised =
    (deflate ? undefined : raisePlain(server, socket, head)) ?? shakeHands(server, socket, deflate, head);
  if (!isWebSocket(raised)) return undefined;
  raised.pause();
  return sameParams(deflateParamsOf(raised), deflate) ? raised : undefined;
}

/** Without a handshake, where there is nothing to agree on: it is a good part of what bringing up a session costs. */
function raisePlain({ options = {} }: WebSocketServer, socket: Duplex, head: Buffer): unknown {
  const raised = options.WebSocket && new options.WebSocket(null, undefined, options);
  if (typeof raised?.setSocket !== "function") return undefined;
  raised.setSocket(socket, head, options);
  return raised;
}

function shakeHands(
  server: WebSocketServer,
  socket: Duplex,
  deflate: DeflateParams | undefined,
  head: Buffer,
): unknown {
  let raised: unknown;
  const answer = muteWrites(socket);
  try {
    server.handleUpgrade({ method: "GET", headers: headersFor(deflate) }, socket, head, (webSocket) => {
      raised = webSocket;
    });
  } finally {
    answer.release();
  }
  return raised;
}

/** The head of a request by which the server agrees on the same as before. */
function headersFor(deflate: DeflateParams | undefined): Record<string, string> {
  const headers: Record<string, string> = {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "sec-websocket-version": "13",
  };
  if (!deflate) return headers;
  const params = Object.entries(deflate).map(([key, value]) => (value === true ? key : `${key}=${value}`));
  headers["sec-websocket-extensions"] = ["permessage-deflate", ...params].join("; ");
  return headers;
}

function sameParams(a: DeflateParams = {}, b: DeflateParams = {}): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

/** Keeps the answer of the opening handshake from the client, which has had it. */
function muteWrites(socket: Duplex): { release(): void } {
  // "end" is called where the handshake fails.
  for (const name of ["write", "end"]) {
    Object.defineProperty(socket, name, { configurable: true, writable: true, value: () => true });
  }
  return {
    release: () => {
      Reflect.deleteProperty(socket, "write");
      Reflect.deleteProperty(socket, "end");
    },
  };
}
